//! The encrypted requests of the host: the remote unlock key and listeners.

use std::time::Duration;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{HostAction, HostControl, ListenerWish, Psk, State, WishedTransport};
use crate::error::ControlError;
use crate::listener::{CreateListener, OWNING_PROCESS, PSK_LEN, PeerConnection, Transport};
use crate::message::{Body, ErrorExtended, Request, Response};
use crate::not_sourced::REMOTEPAIRING_ENCRYPTED_EVENT;
use crate::record::RemoteUnlock;

/// The error with which a device says that the pairing is gone. Source: frida-core `src/fruity/pairing.vala`,
/// create_remote_unlock_key.
const PAIRING_GONE: (&str, i64) = ("com.apple.CoreDevice.ControlChannelConnectionError", 2);

impl HostControl {
    /// The channel has its keys: ask for the remote unlock key if that is due, else be ready.
    pub(super) fn after_keys(
        &mut self,
        now: Duration,
        unlock_unknown: bool,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        if unlock_unknown && self.config.ask_unlock_key {
            self.request(now, Request::CreateRemoteUnlockKey, actions)?;
            self.state = State::UnlockKey;
        } else {
            self.ready(actions);
        }
        Ok(())
    }

    fn ready(&mut self, actions: &mut Vec<HostAction>) {
        self.state = State::Ready;
        self.deadline = None;
        actions.push(HostAction::Ready);
    }

    fn request(
        &mut self,
        now: Duration,
        request: Request,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let json = Body::Request(request).to_json()?;
        let waiting_for = self.waits_for();
        let channel = self
            .channel
            .as_mut()
            .ok_or(ControlError::OutOfOrder { what: "an encrypted request", waiting_for })?;
        let sealed = channel.seal_request(&json)?;
        let envelope = self.sender.sealed(sealed);
        self.send(now, envelope, actions);
        Ok(())
    }

    pub(super) fn on_wish(
        &mut self,
        now: Duration,
        wish: ListenerWish,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let State::Ready = self.state else {
            return Err(ControlError::OutOfOrder { what: "a listener", waiting_for: self.waits_for() });
        };
        let (key, transport, psk) = match wish.transport {
            WishedTransport::Tcp => {
                let psk = self.psk(rng);
                (Zeroizing::new(psk.expose().to_vec()), Transport::Tcp, Some(psk))
            }
            WishedTransport::Quic { public_key } => (Zeroizing::new(public_key), Transport::Quic, None),
        };
        let owner =
            PeerConnection { owning_pid: wish.owning_pid, owning_process_name: OWNING_PROCESS.to_owned() };
        let request = CreateListener { key, transport, peer_connections: vec![owner] };
        self.request(now, Request::CreateListener(request), actions)?;
        self.state = State::Listener(psk);
        Ok(())
    }

    /// The secret of pair-verify, as most clients take; after a pair-setup 32 random bytes, as frida always does: the
    /// device takes any. Source: protocol.md §5.7.
    fn psk(&self, rng: &mut dyn CryptoRng) -> Psk {
        if let Some(secret) = &self.secret {
            return Psk(secret.clone());
        }
        let mut bytes = Zeroizing::new([0; PSK_LEN]);
        rng.fill_bytes(bytes.as_mut_slice());
        Psk(bytes)
    }

    pub(super) fn on_sealed(
        &mut self,
        sealed: &[u8],
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        if !matches!(self.state, State::UnlockKey | State::Listener(_)) {
            return Err(self.unexpected("an encrypted message"));
        }
        let Some(channel) = self.channel.as_mut() else {
            return Err(self.unexpected("an encrypted message"));
        };
        let body = Body::from_json(&channel.open_response(sealed)?)?;
        tracing::trace!(message = body.name(), waiting_for = self.waits_for(), "host: received, encrypted");
        let response = match body {
            Body::Response(response) => response,
            Body::Event(_) => return Err(REMOTEPAIRING_ENCRYPTED_EVENT.into()),
            Body::Request(_) => return Err(self.unexpected(body.name())),
        };
        match (std::mem::replace(&mut self.state, State::Ready), response) {
            (State::UnlockKey, response) => self.on_unlock_key(response, actions),
            (State::Listener(psk), Response::CreateListener(answer)) => {
                self.deadline = None;
                actions.push(HostAction::Listener { answer, psk });
                Ok(())
            }
            (State::Listener(_), Response::Error(error)) => Err(refused("createListener", error)),
            (_, other) => Err(self.unexpected(Body::Response(other).name())),
        }
    }

    fn on_unlock_key(
        &mut self,
        response: Response,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let unlock = match response {
            Response::CreateRemoteUnlockKey(key) => RemoteUnlock::Key(key),
            Response::Error(error) if (error.domain.as_str(), error.code) == PAIRING_GONE => {
                return Err(refused("createRemoteUnlockKey", error));
            }
            Response::Error(error) => {
                tracing::debug!(domain = error.domain, code = error.code, "host: no remote unlock key");
                RemoteUnlock::Unsupported
            }
            other => return Err(self.unexpected(Body::Response(other).name())),
        };
        if let Some(record) = &mut self.config.record {
            record.remote_unlock = unlock;
            actions.push(HostAction::Save(Box::new(record.clone())));
        }
        self.ready(actions);
        Ok(())
    }
}

fn refused(request: &'static str, error: ErrorExtended) -> ControlError {
    ControlError::RequestRefused {
        request,
        domain: error.domain,
        code: error.code,
        description: error.description,
    }
}
