//! What goes into the host's dialogue and what comes out of it.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::envelope::Envelope;
use crate::identity::Identity;
use crate::info::HostDescription;
use crate::listener::{ListenerAnswer, PSK_LEN};
use crate::message::HandshakeResponse;
use crate::record::PairRecord;
use crate::srp::OperandForm;

/// How a V2 is taken that does not match the pinned identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinPolicy {
    /// [`ControlError::IdentityChanged`](crate::error::ControlError::IdentityChanged).
    #[default]
    Strict,
    /// Go on and say so in [`HostAction::Verified`]: for a phone whose V2 turns out to sign something else than the
    /// HomeKit specification says. Pair-setup is strict all the same.
    Report,
}

/// A device that the caller knows before it says anything about itself.
#[derive(Debug, Clone)]
pub struct ExpectedDevice {
    /// What it is known by, over RSD its UDID; the record of a new pairing has this name whatever the device says.
    pub name: String,
    /// Whether two names are spellings of the same: some write UDIDs with a dash, others without.
    pub same: fn(&str, &str) -> bool,
}

/// What the host is told before it begins.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// What the device is told about this host.
    pub description: HostDescription,
    /// The identity for a new pairing; a record brings its own.
    pub identity: Identity,
    /// The record of the device, if there is one.
    pub record: Option<PairRecord>,
    /// The device that has to answer. Without it a device names its own record, and could so replace that of another:
    /// only for callers that look no record up by a name of their own.
    pub expected: Option<ExpectedDevice>,
    /// Whether pair-setup may follow when there is no valid pairing.
    pub allow_setup: bool,
    /// Whether pair-verify is tried; a host that only accepts pairings refuses it (protocol.md §5.2).
    pub attempt_verify: bool,
    /// How a V2 that doesn't match the pin is taken.
    pub pin_policy: PinPolicy,
    /// Whether to ask for the remote unlock key when the record has none.
    pub ask_unlock_key: bool,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// How long the device's user may take.
    pub consent_timeout: Duration,
}

impl HostConfig {
    /// A host that verifies with a record, else pairs; answers may take 10 s (the longest wait of known clients,
    /// protocol.md §4.1), the user two minutes.
    pub fn new(host_name: impl Into<String>, identity: Identity, record: Option<PairRecord>) -> Self {
        Self {
            description: HostDescription { name: host_name.into(), udid: None },
            identity,
            record,
            expected: None,
            allow_setup: true,
            attempt_verify: true,
            pin_policy: PinPolicy::Strict,
            ask_unlock_key: true,
            answer_timeout: Duration::from_secs(10),
            consent_timeout: Duration::from_secs(120),
        }
    }
}

/// What happens to the host.
#[derive(Debug)]
pub enum HostEvent {
    /// The connection is there.
    Start,
    /// A message came.
    Message(Envelope),
    /// The PIN that [`HostAction::NeedPin`] asked for.
    Pin(Zeroizing<String>),
    /// A listener is wanted; possible from [`HostAction::Ready`] on.
    OpenListener(ListenerWish),
    /// Time passed, see [`HostControl::deadline`](super::HostControl::deadline).
    Tick,
    /// The device closed the connection.
    Closed,
}

/// The listener that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerWish {
    /// TCP with a pre-shared key, or QUIC with a public key.
    pub transport: WishedTransport,
    /// The process id that the device is told.
    pub owning_pid: u64,
}

/// How the tunnel is to travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WishedTransport {
    /// TCP; the pre-shared key comes back in [`HostAction::Listener`].
    Tcp,
    /// QUIC.
    Quic {
        /// The host's RSA key as DER SubjectPublicKeyInfo.
        public_key: Vec<u8>,
    },
}

/// A TLS pre-shared key: 32 bytes, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Psk(pub(super) Zeroizing<[u8; PSK_LEN]>);

impl Psk {
    /// The 32 bytes.
    pub fn expose(&self) -> &[u8; PSK_LEN] {
        &self.0
    }
}

impl std::fmt::Debug for Psk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Psk(redacted)")
    }
}

/// How far the device's V2 was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerProof {
    /// Identifier and signature are those of the pinned identity.
    Verified,
    /// The record has no identity of the device: pair again to pin it.
    NotPinned,
    /// They are not, and [`PinPolicy::Report`] lets it pass.
    Mismatch,
}

/// What the host's driver does, in order.
#[derive(Debug)]
pub enum HostAction {
    /// Send this.
    Send(Envelope),
    /// Who the device is and what it allows.
    Device(Box<HandshakeResponse>),
    /// Tell people to tap Trust on the device.
    AwaitingConsent,
    /// Ask people for the PIN that the device shows, then [`HostEvent::Pin`].
    NeedPin,
    /// Pair-verify is done.
    Verified(PeerProof),
    /// Pair-setup is done, with the form of the SRP operands if it mattered.
    Paired(Option<OperandForm>),
    /// Keep this record.
    Save(Box<PairRecord>),
    /// Listeners can be asked for.
    Ready,
    /// The device listens.
    Listener {
        /// Where.
        answer: ListenerAnswer,
        /// The key, for TCP.
        psk: Option<Psk>,
    },
    /// The device closed the connection after a pair-setup, as some do: connect again with the saved record.
    Reconnect,
}
