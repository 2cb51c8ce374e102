//! A whole dialogue with one message changed on the way. Shared by the fuzz target and the unit tier's seeded run.

use std::sync::OnceLock;

use iosmux_pairing::control::device::PairPolicy;
use iosmux_pairing::envelope::{ControlMessage, Envelope};
use iosmux_pairing::message::{Body, Event};

use crate::support::{Outcome, Scenario, Wire, device_identity, run};

/// The first byte chooses the dialogue and the envelope, the second the message, the others how it is changed.
///
/// Gives true when both sides reached their listener all the same.
pub(crate) fn transcript(bytes: &[u8]) -> bool {
    let [mode, at, change @ ..] = bytes else { return false };
    let mut scenario = match mode & 1 {
        0 => Scenario::first_time(PairPolicy::Accept),
        _ => Scenario::again(paired()),
    };
    scenario.wire = if mode & 2 == 0 { Wire::RemoteXpc } else { Wire::RpPairing };
    let (replace, change) = (mode & 4 != 0, change.to_vec());
    let mut left = usize::from(*at);
    scenario.tamper = Some(Box::new(move |envelope| {
        if left == 0 {
            change_envelope(envelope, &change, replace);
        }
        left = left.wrapping_sub(1);
    }));
    check(run(scenario))
}

fn paired() -> &'static Outcome {
    static PAIRED: OnceLock<Outcome> = OnceLock::new();
    PAIRED.get_or_init(|| run(Scenario::first_time(PairPolicy::Accept)))
}

/// Replaces the payload, or flips bits: two bytes of offset and one of bits each.
fn change_envelope(envelope: &mut Envelope, change: &[u8], replace: bool) {
    let payload = match &mut envelope.message {
        ControlMessage::StreamEncrypted(sealed) => &mut sealed.0,
        ControlMessage::Plain(Body::Event(Event::PairingData(data))) => &mut data.data,
        ControlMessage::Plain(_) => return,
    };
    if replace {
        *payload = change.iter().copied().take(20_000).collect();
        return;
    }
    for edit in change.chunks_exact(3).take(16) {
        let offset = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        if let Some(len) = payload.len().checked_sub(1) {
            payload[offset % (len + 1)] ^= edit[2];
        }
    }
}

/// Whatever came, a record that was kept names the real device, and both ends have the same key.
fn check(outcome: Outcome) -> bool {
    if let Some(peer) = outcome.saved.as_ref().and_then(|record| record.peer.as_ref()) {
        assert_eq!(
            peer.public_key,
            device_identity(600).public_key(),
            "a changed message pinned another device"
        );
    }
    let Some((_, psk)) = outcome.listener else { return false };
    let opened = outcome.opened.expect("a listener that nobody opened");
    assert_eq!(opened.key.as_slice(), psk.expect("TCP has a key").expose());
    true
}
