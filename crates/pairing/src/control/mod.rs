//! The whole dialogue on a control channel, one state machine per role.
//!
//! Host: handshake, pair-verify, else pair-setup, then the remote unlock key and listeners. Device: the answers to it.
//! Source: protocol.md §5.2–§5.7.

pub mod device;
pub mod host;

use crate::envelope::{ControlMessage, Envelope, Origin, Sealed};
use crate::message::{Body, Event, PairingData, PairingKind};
use crate::tlv8::Tlv8;

/// Counts what one side sends: from 0, every envelope one more. Source: protocol.md §5.1.
#[derive(Debug)]
struct Sender {
    origin: Origin,
    next: u64,
}

impl Sender {
    fn new(origin: Origin) -> Self {
        Self { origin, next: 0 }
    }

    fn envelope(&mut self, message: ControlMessage) -> Envelope {
        let sequence_number = self.next;
        self.next = sequence_number.wrapping_add(1);
        Envelope { origin: self.origin, sequence_number, message }
    }

    fn plain(&mut self, body: Body) -> Envelope {
        self.envelope(ControlMessage::Plain(body))
    }

    fn event(&mut self, event: Event) -> Envelope {
        self.plain(Body::Event(event))
    }

    fn sealed(&mut self, bytes: Vec<u8>) -> Envelope {
        self.envelope(ControlMessage::StreamEncrypted(Sealed(bytes)))
    }

    fn pairing(
        &mut self,
        kind: PairingKind,
        start_new_session: bool,
        host: Option<&str>,
        tlv: &Tlv8,
    ) -> Envelope {
        self.event(Event::PairingData(PairingData {
            data: tlv.encode(),
            kind,
            start_new_session,
            sending_host: host.map(str::to_owned),
        }))
    }
}
