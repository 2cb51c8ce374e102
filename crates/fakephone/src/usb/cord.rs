//! The cable as whoever holds the phone has it: pulled before anything else of the phone ends.
//!
//! The phone is a device of the kernel's and its user at once. Closing its interfaces takes the kernel's lock for links, and
//! whoever has that lock may be waiting for an answer of the device: with the cable in, both would wait for ever.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

/// The cable that was plugged in last.
#[derive(Debug, Clone, Default)]
pub(super) struct Cord(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stream: Option<UnixStream>,
    pulled: bool,
}

impl Cord {
    /// Holds a cable that was plugged in, instead of the one before.
    pub(super) fn plug(&self, stream: &UnixStream) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.pulled {
            return Err(io::ErrorKind::NotConnected.into());
        }
        state.stream = Some(stream.try_clone()?);
        Ok(())
    }

    /// Lets go of a cable that came out.
    pub(super) fn let_go(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stream = None;
    }

    /// Pulls it for good.
    pub(super) fn pull(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pulled = true;
        if let Some(stream) = state.stream.take() {
            // It may have come out by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_cable_that_is_pulled_ends_whoever_else_holds_it() {
        let (ours, mut host) = UnixStream::pair().unwrap();
        let cord = Cord::default();
        cord.plug(&ours).unwrap();
        cord.pull();
        assert_eq!(host.read(&mut [0]).unwrap(), 0);
        assert!(cord.plug(&ours).is_err(), "it is pulled for good");
    }

    #[test]
    fn a_cable_that_came_out_is_not_held() {
        let (ours, mut host) = UnixStream::pair().unwrap();
        let cord = Cord::default();
        cord.plug(&ours).unwrap();
        drop(ours);
        cord.let_go();
        assert_eq!(host.read(&mut [0]).unwrap(), 0);
    }
}
