//! Pair-setup within the host's dialogue: consent, PIN, a second attempt in the other operand form, the record.

use std::time::Duration;

use rand_core::CryptoRng;

use super::{HostAction, HostControl, State, USERS_CONSENT};
use crate::channel::HostChannel;
use crate::error::{ControlError, IdentityChange};
use crate::identity::check_identifier;
use crate::message::PairingKind;
use crate::record::{PairRecord, PinnedPeer, RemoteUnlock};
use crate::setup::{HostStep, PINLESS, SetupError, SetupHost, SetupOutcome};
use crate::srp::OperandForm;
use crate::tlv8::{PeerError, PeerErrorCode};

/// Models that show a PIN. Source: protocol.md §5.5 (AppleTV and visionOS).
const PIN_MODELS: [&str; 2] = ["AppleTV", "RealityDevice"];

/// A pair-setup with what surrounds it.
pub(super) struct Setup {
    machine: SetupHost,
    form: OperandForm,
    /// The device asked its user, so there is no PIN to type.
    consent: bool,
    /// This is the attempt in the other form.
    second: bool,
    step: &'static str,
}

impl Setup {
    pub(super) fn waits_for(&self) -> &'static str {
        self.step
    }
}

impl HostControl {
    pub(super) fn begin_setup(
        &mut self,
        now: Duration,
        form: OperandForm,
        second: bool,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let options = self.device.as_ref().map(|device| device.options).unwrap_or_default();
        if !self.config.allow_setup {
            return Err(ControlError::NotPaired);
        }
        if options.allows_pair_setup == Some(false) {
            return Err(ControlError::PairSetupNotAllowed);
        }
        let identity = self.config.identity.clone();
        let (machine, m1) = SetupHost::start(identity, self.config.description.clone(), form);
        self.state =
            State::Setup(Box::new(Setup { machine, form, consent: false, second, step: "consent or M2" }));
        let envelope =
            self.sender.pairing(PairingKind::Setup, true, Some(&self.config.description.name), &m1);
        self.send(now, envelope, actions);
        // A device may ask its user before it says anything.
        self.wait(now, self.config.consent_timeout);
        Ok(())
    }

    pub(super) fn on_consent(
        &mut self,
        now: Duration,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let State::Setup(setup) = &mut self.state else {
            return Err(self.unexpected("event awaitingUserConsent"));
        };
        // One that says so again and again would be waited for without end.
        if setup.consent || !setup.machine.awaits_m2() {
            tracing::debug!("host: the device asks its user again, which changes nothing");
            return Ok(());
        }
        setup.consent = true;
        setup.step = USERS_CONSENT;
        self.wait(now, self.config.consent_timeout);
        actions.push(HostAction::AwaitingConsent);
        Ok(())
    }

    pub(super) fn on_setup_step(
        &mut self,
        now: Duration,
        bytes: &[u8],
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let State::Setup(setup) = &mut self.state else {
            return Err(self.unexpected("a step of pair-setup"));
        };
        match setup.machine.on_tlv(bytes) {
            Ok(HostStep::NeedPin) => {
                if self.is_pinless() {
                    return self.on_pin(now, PINLESS, rng, actions);
                }
                if let State::Setup(setup) = &mut self.state {
                    setup.step = "the PIN";
                }
                self.deadline = None;
                actions.push(HostAction::NeedPin);
                Ok(())
            }
            Ok(HostStep::Send(m5)) => {
                setup.step = "M6";
                let envelope =
                    self.sender.pairing(PairingKind::Setup, false, Some(&self.config.description.name), &m5);
                self.send(now, envelope, actions);
                Ok(())
            }
            Ok(HostStep::Done(outcome)) => self.on_outcome(now, *outcome, actions),
            Err(error) => self.on_setup_error(now, error, actions),
        }
    }

    /// Whether the fixed PIN is the right one: the device asked its user, or it says so and is no model with a screen
    /// of its own for PINs. Source: protocol.md §5.5.
    fn is_pinless(&self) -> bool {
        let State::Setup(setup) = &self.state else { return false };
        let device = self.device.as_ref();
        let model = device.and_then(|device| device.device.as_ref()).and_then(|info| info.model.as_deref());
        let shows_pin = model.is_some_and(|model| PIN_MODELS.iter().any(|prefix| model.starts_with(prefix)));
        let allowed = device.and_then(|device| device.options.allows_pinless_pairing) == Some(true);
        setup.consent || (allowed && !shows_pin)
    }

    pub(super) fn on_pin(
        &mut self,
        now: Duration,
        pin: &str,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let waiting_for = self.waits_for();
        let State::Setup(setup) = &mut self.state else {
            return Err(ControlError::OutOfOrder { what: "a PIN", waiting_for });
        };
        let m3 = setup.machine.on_pin(pin, rng)?;
        setup.step = "M4";
        let envelope =
            self.sender.pairing(PairingKind::Setup, false, Some(&self.config.description.name), &m3);
        self.send(now, envelope, actions);
        Ok(())
    }

    fn on_setup_error(
        &mut self,
        now: Duration,
        error: SetupError,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        match error {
            SetupError::WrongPin { other_form: Some(other) } if self.is_first_attempt() => {
                tracing::info!(form = %other, "host: the proof was refused, trying the other form once");
                self.begin_setup(now, other, true, actions)
            }
            SetupError::WrongPin { other_form } => {
                Err(ControlError::WrongPin { form: other_form.map(OperandForm::other) })
            }
            SetupError::Refused {
                error: PeerError { code: PeerErrorCode::BackOff, retry_delay }, ..
            } => {
                let retry_in = retry_delay.unwrap_or_default();
                Err(ControlError::BackOff { retry_in, retry_at: now.saturating_add(retry_in) })
            }
            SetupError::Refused { step, error } => Err(ControlError::Refused { step, code: error.code }),
            other => Err(other.into()),
        }
    }

    fn is_first_attempt(&self) -> bool {
        matches!(&self.state, State::Setup(setup) if !setup.second)
    }

    fn on_outcome(
        &mut self,
        now: Duration,
        outcome: SetupOutcome,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let SetupOutcome { peer, key, form } = outcome;
        let pinned = PinnedPeer { identifier: peer.identifier, public_key: peer.public_key };
        if let Some(record) = &self.config.record {
            check_pin(record, &pinned)?;
        }
        let identifier = self.record_name(&pinned).to_owned();
        check_identifier(&identifier)?;
        let record = PairRecord {
            identifier,
            host: self.config.identity.clone(),
            peer: Some(pinned),
            info: peer.info,
            remote_unlock: RemoteUnlock::Unknown,
        };
        if let (Some(form), State::Setup(setup)) = (form, &self.state) {
            tracing::info!(%form, second = setup.second, tried = %setup.form, "host: this form of the proof is right");
        }
        self.channel = Some(HostChannel::new(key.expose())?);
        actions.push(HostAction::Paired(form));
        actions.push(HostAction::Save(Box::new(record.clone())));
        self.config.record = Some(record);
        self.after_keys(now, true, actions)
    }

    /// What names the record: if the caller knows the device, nothing that it says, so that the record is found again
    /// and is nobody else's.
    fn record_name<'a>(&'a self, pinned: &'a PinnedPeer) -> &'a str {
        if let Some(expected) = &self.config.expected {
            return &expected.name;
        }
        // A pairable host may leave its identifier empty; then the long-term one names the record.
        let said = self.device.as_ref().and_then(|device| device.device.as_ref());
        let said = said.map(|info| &info.identifier).filter(|identifier| !identifier.is_empty());
        said.unwrap_or(&pinned.identifier)
    }
}

fn check_pin(record: &PairRecord, presented: &PinnedPeer) -> Result<(), ControlError> {
    let Some(pinned) = &record.peer else { return Ok(()) };
    let change = if pinned.identifier != presented.identifier {
        IdentityChange::Identifier {
            pinned: pinned.identifier.clone(),
            presented: presented.identifier.clone(),
        }
    } else if pinned.public_key != presented.public_key {
        IdentityChange::Key {
            pinned: pinned.public_key.fingerprint(),
            presented: presented.public_key.fingerprint(),
        }
    } else {
        return Ok(());
    };
    Err(ControlError::IdentityChanged { record: record.identifier.clone(), change })
}
