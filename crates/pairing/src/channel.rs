//! The encrypted main channel of a verified or freshly paired connection.
//!
//! One counter is shared by a request and its response and then moves on. Source: protocol.md §5.6.

use zeroize::Zeroizing;

use crate::keys::{self, KeyError, MAIN_CLIENT, MAIN_SERVER, SecretKey, counter_nonce};

/// Why the channel stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Deriving, sealing or opening failed.
    #[error("encrypted channel, message {counter}: {source}")]
    Key {
        /// The counter of the message.
        counter: u64,
        /// What failed.
        source: KeyError,
    },
    /// A response without a request, or a second request before the response.
    #[error("encrypted channel, message {counter}: {what}")]
    OutOfTurn {
        /// The counter of the message.
        counter: u64,
        /// What was out of turn.
        what: &'static str,
    },
    /// The counter has reached its end: no nonce may be used twice.
    #[error("the encrypted channel has used all its nonces: reconnect")]
    Exhausted,
}

struct Keys {
    client: SecretKey,
    server: SecretKey,
}

impl Keys {
    fn derive(secret: &[u8]) -> Result<Self, ChannelError> {
        let derive =
            |label| keys::derive(secret, label).map_err(|source| ChannelError::Key { counter: 0, source });
        Ok(Self { client: derive(MAIN_CLIENT)?, server: derive(MAIN_SERVER)? })
    }
}

/// Where a request and its response stand.
struct Turn {
    counter: u64,
    open: bool,
}

impl Turn {
    fn begin(&mut self, what: &'static str) -> Result<u64, ChannelError> {
        if std::mem::replace(&mut self.open, true) {
            return Err(ChannelError::OutOfTurn { counter: self.counter, what });
        }
        Ok(self.counter)
    }

    fn end(&mut self, what: &'static str) -> Result<u64, ChannelError> {
        if !std::mem::replace(&mut self.open, false) {
            return Err(ChannelError::OutOfTurn { counter: self.counter, what });
        }
        let counter = self.counter;
        self.counter = counter.checked_add(1).ok_or(ChannelError::Exhausted)?;
        Ok(counter)
    }
}

/// The host's end: seals requests, opens responses.
pub struct HostChannel {
    keys: Keys,
    turn: Turn,
}

impl HostChannel {
    /// A channel from the X25519 secret of pair-verify or from K of pair-setup.
    ///
    /// # Errors
    /// [`ChannelError::Key`].
    pub fn new(secret: &[u8]) -> Result<Self, ChannelError> {
        Ok(Self { keys: Keys::derive(secret)?, turn: Turn { counter: 0, open: false } })
    }

    /// Seals a request.
    ///
    /// # Errors
    /// [`ChannelError::OutOfTurn`] while another request waits for its response.
    pub fn seal_request(&mut self, plain: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let counter = self.turn.begin("a request before the response to the last one")?;
        keys::seal(&self.keys.client, &counter_nonce(counter), plain)
            .map_err(|source| ChannelError::Key { counter, source })
    }

    /// Opens the response to the last request.
    ///
    /// # Errors
    /// [`ChannelError::OutOfTurn`] without a request, [`ChannelError::Key`] for what doesn't open.
    pub fn open_response(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
        let counter = self.turn.end("a response that no request asked for")?;
        keys::open(&self.keys.server, &counter_nonce(counter), sealed)
            .map_err(|source| ChannelError::Key { counter, source })
    }
}

/// The device's end: opens requests, seals responses.
pub struct DeviceChannel {
    keys: Keys,
    turn: Turn,
}

impl DeviceChannel {
    /// A channel from the X25519 secret of pair-verify or from K of pair-setup.
    ///
    /// # Errors
    /// [`ChannelError::Key`].
    pub fn new(secret: &[u8]) -> Result<Self, ChannelError> {
        Ok(Self { keys: Keys::derive(secret)?, turn: Turn { counter: 0, open: false } })
    }

    /// Opens a request.
    ///
    /// # Errors
    /// [`ChannelError::OutOfTurn`] while another one waits for its response, [`ChannelError::Key`] for what doesn't open.
    pub fn open_request(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
        let counter = self.turn.begin("a request before the response to the last one")?;
        keys::open(&self.keys.client, &counter_nonce(counter), sealed)
            .map_err(|source| ChannelError::Key { counter, source })
    }

    /// Seals the response to the last request.
    ///
    /// # Errors
    /// [`ChannelError::OutOfTurn`] without a request.
    pub fn seal_response(&mut self, plain: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let counter = self.turn.end("a response that no request asked for")?;
        keys::seal(&self.keys.server, &counter_nonce(counter), plain)
            .map_err(|source| ChannelError::Key { counter, source })
    }
}

impl std::fmt::Debug for HostChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostChannel").field("counter", &self.turn.counter).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DeviceChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceChannel").field("counter", &self.turn.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_response_share_a_counter_that_then_moves_on() {
        let (mut host, mut device) = (HostChannel::new(b"k").unwrap(), DeviceChannel::new(b"k").unwrap());
        let mut last = Vec::new();
        for _ in 0..3 {
            let request = host.seal_request(b"ask").unwrap();
            assert_ne!(request, last);
            assert_eq!(device.open_request(&request).unwrap().as_slice(), b"ask");
            let response = device.seal_response(b"answer").unwrap();
            assert_eq!(host.open_response(&response).unwrap().as_slice(), b"answer");
            last = request;
        }
        assert_eq!(format!("{host:?}"), "HostChannel { counter: 3, .. }");
    }

    #[test]
    fn replayed_requests_do_not_open() {
        let (mut host, mut device) = (HostChannel::new(b"k").unwrap(), DeviceChannel::new(b"k").unwrap());
        let request = host.seal_request(b"ask").unwrap();
        device.open_request(&request).unwrap();
        device.seal_response(b"answer").unwrap();
        assert_eq!(
            device.open_request(&request).unwrap_err(),
            ChannelError::Key { counter: 1, source: KeyError::Open }
        );
    }

    #[test]
    fn messages_out_of_turn_are_typed_errors() {
        let (mut host, mut device) = (HostChannel::new(b"k").unwrap(), DeviceChannel::new(b"k").unwrap());
        assert!(matches!(host.open_response(&[]), Err(ChannelError::OutOfTurn { counter: 0, .. })));
        assert!(matches!(device.seal_response(&[]), Err(ChannelError::OutOfTurn { counter: 0, .. })));
        host.seal_request(b"ask").unwrap();
        assert!(matches!(host.seal_request(b"ask"), Err(ChannelError::OutOfTurn { counter: 0, .. })));
    }

    #[test]
    fn the_last_nonce_is_used_once() {
        let mut host = HostChannel::new(b"k").unwrap();
        host.turn.counter = u64::MAX;
        host.seal_request(b"ask").unwrap();
        assert_eq!(host.open_response(&[]).unwrap_err(), ChannelError::Exhausted);
    }
}
