//! The device's dialogue: what a phone, or a simulated one, answers.

mod pairing;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Sender;
use crate::channel::DeviceChannel;
use crate::envelope::{ControlMessage, Envelope, Origin};
use crate::error::ControlError;
use crate::identity::{Identity, PeerKey};
use crate::info::DeviceDescription;
use crate::listener::CreateListener;
use crate::message::{
    Body, ErrorExtended, Event, HandshakeResponse, HostKey, PairingKind, Request, Response,
};
use crate::not_sourced::REMOTEPAIRING_REQUEST;
use crate::setup::{PeerIdentity, SetupDevice, SetupError};
use crate::srp::OperandForm;
use crate::verify::VerifyDevice;

/// What the device does with a pair-setup.
#[derive(Clone, PartialEq, Eq)]
pub enum PairPolicy {
    /// Say that the user is asked, and go on as if the user had said yes.
    Accept,
    /// Ask through [`DeviceAction::AskUser`].
    AskUser,
    /// Say no.
    Reject {
        /// The text for people.
        description: String,
    },
    /// Show this PIN, as an Apple TV.
    Pin(Zeroizing<String>),
    /// Refuse attempts until this time on the caller's clock, then accept.
    BackOff {
        /// When attempts are taken again.
        until: Duration,
    },
}

impl std::fmt::Debug for PairPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Accept => f.write_str("Accept"),
            Self::AskUser => f.write_str("AskUser"),
            Self::Reject { description } => {
                f.debug_struct("Reject").field("description", description).finish()
            }
            Self::Pin(_) => f.write_str("Pin(redacted)"),
            Self::BackOff { until } => f.debug_struct("BackOff").field("until", until).finish(),
        }
    }
}

/// The hosts that the device paired with: identifier and pinned key.
pub type KnownHosts = BTreeMap<String, PeerKey>;

/// What the device is told before it begins.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// Its long-term identity.
    pub identity: Identity,
    /// What it says about itself in M6.
    pub description: DeviceDescription,
    /// What it answers to the handshake.
    pub handshake: HandshakeResponse,
    /// The hosts that it knows.
    pub known_hosts: KnownHosts,
    /// What it does with a pair-setup.
    pub policy: PairPolicy,
    /// The remote unlock key, or the error of a device that has none.
    pub unlock_key: Result<HostKey, ErrorExtended>,
    /// Whether it closes the connection once a freshly paired host has its remote unlock key.
    pub close_after_setup: bool,
}

/// What happens to the device.
#[derive(Debug)]
pub enum DeviceEvent {
    /// A message came.
    Message(Envelope),
    /// The user's answer to [`DeviceAction::AskUser`].
    Consent(bool),
    /// The answer to [`DeviceAction::OpenListener`].
    Listening(Result<Listening, ErrorExtended>),
}

/// Where the device listens; its public key is always said, because frida insists on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The port, on the address of the control connection.
    pub port: u16,
    /// The key as DER SubjectPublicKeyInfo.
    pub device_public_key: Vec<u8>,
    /// A service name, if there is one.
    pub service_name: Option<String>,
}

/// What the device's driver does, in order.
#[derive(Debug)]
pub enum DeviceAction {
    /// Send this.
    Send(Envelope),
    /// Ask the user whether to trust this host, then [`DeviceEvent::Consent`].
    AskUser {
        /// The host's name, if it gave one.
        host: Option<String>,
    },
    /// Show the PIN of the policy.
    ShowPin,
    /// A pair-setup failed; the host may try again.
    SetupFailed(SetupError),
    /// A pair-setup succeeded: keep the host.
    Paired {
        /// The host.
        host: Box<PeerIdentity>,
        /// The form of the SRP operands if it mattered.
        form: Option<OperandForm>,
    },
    /// Pair-verify succeeded.
    Verified {
        /// The host's identifier.
        host: String,
    },
    /// Open a listener, then [`DeviceEvent::Listening`].
    OpenListener(CreateListener),
    /// Close the connection after what was sent.
    Close,
}

enum State {
    Idle,
    Verify(Box<VerifyDevice>),
    AskUser,
    Setup(Box<SetupDevice>),
    Listener,
    Over,
}

/// The device's state machine.
pub struct DeviceControl {
    config: DeviceConfig,
    sender: Sender,
    state: State,
    channel: Option<DeviceChannel>,
    freshly_paired: bool,
}

impl DeviceControl {
    /// A device that waits for a host.
    pub fn new(config: DeviceConfig) -> Self {
        Self {
            config,
            sender: Sender::new(Origin::Device),
            state: State::Idle,
            channel: None,
            freshly_paired: false,
        }
    }

    /// The hosts that it knows by now.
    pub fn known_hosts(&self) -> &KnownHosts {
        &self.config.known_hosts
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`ControlError`]; the dialogue is over then and the connection should be closed.
    pub fn on(
        &mut self,
        now: Duration,
        event: DeviceEvent,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<DeviceAction>, ControlError> {
        let mut actions = Vec::new();
        let result = match event {
            DeviceEvent::Message(envelope) => self.on_message(now, envelope, rng, &mut actions),
            DeviceEvent::Consent(yes) => self.on_consent(yes, rng, &mut actions),
            DeviceEvent::Listening(result) => self.on_listening(result, &mut actions),
        };
        match result {
            Ok(()) => Ok(actions),
            Err(error) => {
                tracing::debug!(%error, "device: the dialogue stops");
                (self.state, self.channel) = (State::Over, None);
                Err(error)
            }
        }
    }

    fn waits_for(&self) -> &'static str {
        match self.state {
            State::Idle => "a host's message",
            State::Verify(_) => "V3",
            State::AskUser => "the user's consent",
            State::Setup(_) => "a step of pair-setup",
            State::Listener => "the listener",
            State::Over => "nothing",
        }
    }

    fn unexpected(&self, got: &str) -> ControlError {
        match self.state {
            State::Over => ControlError::Over,
            _ => ControlError::Unexpected { got: got.to_owned(), waiting_for: self.waits_for() },
        }
    }

    fn on_message(
        &mut self,
        now: Duration,
        envelope: Envelope,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        if envelope.origin == Origin::Device || matches!(self.state, State::Over) {
            return Err(self.unexpected("a message from a device"));
        }
        let body = match envelope.message {
            ControlMessage::StreamEncrypted(sealed) => return self.on_sealed(&sealed.0, actions),
            ControlMessage::Plain(body) => body,
        };
        tracing::trace!(message = body.name(), waiting_for = self.waits_for(), "device: received");
        match body {
            Body::Request(Request::Handshake(_)) => {
                let answer = Body::Response(Response::Handshake(self.config.handshake.clone()));
                actions.push(DeviceAction::Send(self.sender.plain(answer)));
                Ok(())
            }
            Body::Event(Event::PairingData(data)) => match data.kind {
                PairingKind::Verify => self.on_verify_step(&data.data, data.start_new_session, rng, actions),
                PairingKind::Setup if data.start_new_session => {
                    self.on_m1(now, &data.data, data.sending_host, rng, actions)
                }
                PairingKind::Setup => self.on_setup_step(&data.data, actions),
                PairingKind::Other(kind) => Err(self.unexpected(&kind)),
            },
            Body::Event(Event::PairVerifyFailed) => {
                self.state = State::Idle;
                Ok(())
            }
            Body::Event(Event::Other(name)) => {
                tracing::debug!(event = name, "device: an event that changes nothing");
                Ok(())
            }
            Body::Request(Request::Other(name)) => {
                tracing::warn!(request = name, "device: a request that no source shows the answer of");
                Err(REMOTEPAIRING_REQUEST.into())
            }
            other => Err(self.unexpected(other.name())),
        }
    }
}

impl std::fmt::Debug for DeviceControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceControl").field("waits_for", &self.waits_for()).finish_non_exhaustive()
    }
}
