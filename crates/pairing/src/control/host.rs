//! The host's dialogue.

mod listen;
mod setup;
mod types;
mod verify;

pub use types::{
    ExpectedDevice, HostAction, HostConfig, HostEvent, ListenerWish, PeerProof, PinPolicy, Psk,
    WishedTransport,
};

use std::time::Duration;

use rand_core::CryptoRng;

use super::Sender;
use crate::channel::HostChannel;
use crate::envelope::{ControlMessage, Envelope, Origin};
use crate::error::ControlError;
use crate::identity::MAX_IDENTIFIER_LEN;
use crate::message::{
    Body, Event, HandshakeRequest, HandshakeResponse, PairingKind, Request, Response, WIRE_PROTOCOL_VERSION,
};
use crate::srp::OperandForm;
use crate::verify::{SharedSecret, VerifyHost};

/// What [`ControlError::Timeout`] was waiting for when the device had asked its user and nobody answered.
pub const USERS_CONSENT: &str = "the user's consent";

enum State {
    Idle,
    Handshake,
    Verify { machine: Box<VerifyHost>, proof: Option<PeerProof> },
    Setup(Box<setup::Setup>),
    UnlockKey,
    Ready,
    Listener(Option<Psk>),
    Over,
}

/// The host's state machine.
pub struct HostControl {
    config: HostConfig,
    sender: Sender,
    state: State,
    device: Option<HandshakeResponse>,
    channel: Option<HostChannel>,
    /// The secret of pair-verify; after a pair-setup there is none.
    secret: Option<SharedSecret>,
    deadline: Option<(Duration, Duration)>,
}

impl HostControl {
    /// A host that waits for [`HostEvent::Start`].
    pub fn new(config: HostConfig) -> Self {
        Self {
            config,
            sender: Sender::new(Origin::Host),
            state: State::Idle,
            device: None,
            channel: None,
            secret: None,
            deadline: None,
        }
    }

    /// When [`HostEvent::Tick`] is due, on the caller's clock.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline.map(|(at, _)| at)
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`ControlError`]; the dialogue is over then and the connection should be closed.
    pub fn on(
        &mut self,
        now: Duration,
        event: HostEvent,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<HostAction>, ControlError> {
        let mut actions = Vec::new();
        let result = match event {
            HostEvent::Start => self.on_start(now, &mut actions),
            HostEvent::Message(envelope) => self.on_message(now, envelope, rng, &mut actions),
            HostEvent::Pin(pin) => self.on_pin(now, &pin, rng, &mut actions),
            HostEvent::OpenListener(wish) => self.on_wish(now, wish, rng, &mut actions),
            HostEvent::Tick => self.on_tick(now),
            HostEvent::Closed => self.on_closed(&mut actions),
        };
        match result {
            Ok(()) => Ok(actions),
            Err(error) => {
                tracing::debug!(%error, "host: the dialogue stops");
                self.finish();
                Err(error)
            }
        }
    }

    fn finish(&mut self) {
        self.state = State::Over;
        (self.channel, self.secret, self.deadline) = (None, None, None);
    }

    fn waits_for(&self) -> &'static str {
        match &self.state {
            State::Idle => "the start",
            State::Handshake => "the handshake",
            State::Verify { proof: None, .. } => "V2",
            State::Verify { .. } => "V4",
            State::Setup(setup) => setup.waits_for(),
            State::UnlockKey => "the remote unlock key",
            State::Ready => "a wish for a listener",
            State::Listener(_) => "the listener",
            State::Over => "nothing",
        }
    }

    fn wait(&mut self, now: Duration, timeout: Duration) {
        self.deadline = Some((now.saturating_add(timeout), timeout));
    }

    fn send(&mut self, now: Duration, envelope: Envelope, actions: &mut Vec<HostAction>) {
        actions.push(HostAction::Send(envelope));
        self.wait(now, self.config.answer_timeout);
    }

    fn on_start(&mut self, now: Duration, actions: &mut Vec<HostAction>) -> Result<(), ControlError> {
        let State::Idle = self.state else {
            return Err(ControlError::OutOfOrder { what: "a start", waiting_for: self.waits_for() });
        };
        let request = Request::Handshake(HandshakeRequest {
            wire_protocol_version: WIRE_PROTOCOL_VERSION,
            attempt_pair_verify: self.config.attempt_verify,
        });
        self.state = State::Handshake;
        let envelope = self.sender.plain(Body::Request(request));
        self.send(now, envelope, actions);
        Ok(())
    }

    fn on_tick(&mut self, now: Duration) -> Result<(), ControlError> {
        match self.deadline {
            Some((at, after)) if now >= at => {
                Err(ControlError::Timeout { waiting_for: self.waits_for(), after })
            }
            _ => Ok(()),
        }
    }

    /// Some devices close after a pair-setup and want to be verified anew (protocol.md §5.5).
    fn on_closed(&mut self, actions: &mut Vec<HostAction>) -> Result<(), ControlError> {
        let freshly_paired = self.channel.is_some() && self.secret.is_none();
        if !freshly_paired {
            return match self.state {
                State::Over => Ok(()),
                _ => Err(ControlError::Closed { waiting_for: self.waits_for() }),
            };
        }
        self.finish();
        actions.push(HostAction::Reconnect);
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Duration,
        envelope: Envelope,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        if envelope.origin == Origin::Host {
            return Err(self.unexpected("a message from a host"));
        }
        let body = match envelope.message {
            ControlMessage::StreamEncrypted(sealed) => return self.on_sealed(&sealed.0, actions),
            ControlMessage::Plain(body) => body,
        };
        tracing::trace!(message = body.name(), waiting_for = self.waits_for(), "host: received");
        match body {
            Body::Event(Event::Other(name)) => self.on_other_event(&name),
            Body::Event(Event::PairingRejectedWithError(description)) => {
                Err(ControlError::Rejected { description })
            }
            Body::Event(Event::AwaitingUserConsent) => self.on_consent(now, actions),
            Body::Event(Event::PairingData(data)) => match data.kind {
                PairingKind::Verify => self.on_verify_step(now, &data.data, rng, actions),
                PairingKind::Setup => self.on_setup_step(now, &data.data, rng, actions),
                PairingKind::Other(kind) => Err(self.unexpected(&kind)),
            },
            Body::Response(Response::Handshake(handshake)) => self.on_handshake(now, handshake, rng, actions),
            other => Err(self.unexpected(other.name())),
        }
    }

    fn unexpected(&self, got: &str) -> ControlError {
        match self.state {
            State::Over => ControlError::Over,
            _ => ControlError::Unexpected { got: got.to_owned(), waiting_for: self.waits_for() },
        }
    }

    /// Names from the vocabulary (protocol.md §5.6); what only informs is passed over.
    fn on_other_event(&self, name: &str) -> Result<(), ControlError> {
        match name {
            "pairingRejected" | "connectionRejected" | "unpair" => {
                Err(ControlError::Rejected { description: Some(name.to_owned()) })
            }
            _ => {
                tracing::debug!(event = name, "host: an event that changes nothing");
                Ok(())
            }
        }
    }

    fn on_handshake(
        &mut self,
        now: Duration,
        handshake: HandshakeResponse,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let State::Handshake = self.state else { return Err(self.unexpected("response handshake")) };
        self.check_device(&handshake)?;
        actions.push(HostAction::Device(Box::new(handshake.clone())));
        self.device = Some(handshake);
        if self.config.attempt_verify {
            self.begin_verify(now, rng, actions)
        } else {
            self.begin_setup(now, OperandForm::Stripped, false, actions)
        }
    }

    /// Whether the expected device answers, as far as it says who it is. Source: protocol.md §5.2.
    fn check_device(&self, handshake: &HandshakeResponse) -> Result<(), ControlError> {
        let (Some(expected), Some(info)) = (&self.config.expected, &handshake.device) else { return Ok(()) };
        if info.identifier.is_empty() || (expected.same)(&expected.name, &info.identifier) {
            return Ok(());
        }
        let said = info.identifier.chars().take(MAX_IDENTIFIER_LEN).collect();
        Err(ControlError::OtherDevice { expected: expected.name.clone(), said })
    }
}

impl std::fmt::Debug for HostControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostControl").field("waits_for", &self.waits_for()).finish_non_exhaustive()
    }
}
