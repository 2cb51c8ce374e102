//! Pair-verify and pair-setup within the device's dialogue.

use std::time::Duration;

use rand_core::CryptoRng;

use super::{DeviceAction, DeviceControl, PairPolicy, State};
use crate::channel::DeviceChannel;
use crate::error::ControlError;
use crate::info::device_info;
use crate::message::{Event, PairingKind};
use crate::setup::{DeviceStep, PINLESS, SetupDevice, SetupOutcome};
use crate::tlv8::{PeerError, PeerErrorCode, Tlv8, error_reply};
use crate::verify::{V3Outcome, VerifyDevice};

/// What a declined host is told: the text is ours, but pymobiledevice3 wants one.
const DECLINED: &str = "The user did not trust this host.";

impl DeviceControl {
    pub(super) fn on_verify_step(
        &mut self,
        bytes: &[u8],
        start: bool,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        if start {
            let (machine, v2) = VerifyDevice::start(bytes, &self.config.identity, rng)?;
            self.state = State::Verify(Box::new(machine));
            self.send_step(PairingKind::Verify, &v2, actions);
            return Ok(());
        }
        if !matches!(self.state, State::Verify(_)) {
            return Err(self.unexpected("V3"));
        }
        let State::Verify(machine) = std::mem::replace(&mut self.state, State::Idle) else {
            return Ok(());
        };
        let known = &self.config.known_hosts;
        match machine.on_v3(bytes, |identifier| known.get(identifier).copied())? {
            V3Outcome::Verified { reply, host_identifier, secret } => {
                self.channel = Some(DeviceChannel::new(secret.as_slice())?);
                self.freshly_paired = false;
                self.send_step(PairingKind::Verify, &reply, actions);
                actions.push(DeviceAction::Verified { host: host_identifier });
            }
            V3Outcome::Refused { reply, code } => {
                tracing::debug!(%code, "device: pair-verify refused");
                self.send_step(PairingKind::Verify, &reply, actions);
            }
        }
        Ok(())
    }

    pub(super) fn on_m1(
        &mut self,
        now: Duration,
        bytes: &[u8],
        host: Option<String>,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        SetupDevice::check_m1(bytes)?;
        self.state = State::Idle;
        match self.config.policy.clone() {
            PairPolicy::BackOff { until } if now < until => {
                let delay = Some(until.saturating_sub(now));
                let error = PeerError { code: PeerErrorCode::BackOff, retry_delay: delay };
                self.send_step(PairingKind::Setup, &error_reply(2, error), actions);
                Ok(())
            }
            PairPolicy::Accept | PairPolicy::BackOff { .. } => {
                self.send_event(Event::AwaitingUserConsent, actions);
                self.begin_setup(PINLESS, rng, actions)
            }
            PairPolicy::AskUser => {
                self.send_event(Event::AwaitingUserConsent, actions);
                self.state = State::AskUser;
                actions.push(DeviceAction::AskUser { host });
                Ok(())
            }
            PairPolicy::Reject { description } => {
                self.send_event(Event::PairingRejectedWithError(Some(description)), actions);
                Ok(())
            }
            PairPolicy::Pin(pin) => {
                actions.push(DeviceAction::ShowPin);
                self.begin_setup(&pin, rng, actions)
            }
        }
    }

    pub(super) fn on_consent(
        &mut self,
        yes: bool,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        if !matches!(self.state, State::AskUser) {
            return Err(ControlError::OutOfOrder { what: "consent", waiting_for: self.waits_for() });
        }
        if yes {
            return self.begin_setup(PINLESS, rng, actions);
        }
        self.state = State::Idle;
        self.send_event(Event::PairingRejectedWithError(Some(DECLINED.to_owned())), actions);
        Ok(())
    }

    fn begin_setup(
        &mut self,
        pin: &str,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        let version = u64::try_from(self.config.handshake.wire_protocol_version).unwrap_or_default();
        let info = device_info(&self.config.identity, &self.config.description, version)
            .map_err(crate::setup::SetupError::from)?;
        let (machine, m2) = SetupDevice::start(self.config.identity.clone(), info, pin, rng)?;
        self.state = State::Setup(Box::new(machine));
        self.send_step(PairingKind::Setup, &m2, actions);
        Ok(())
    }

    pub(super) fn on_setup_step(
        &mut self,
        bytes: &[u8],
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        let State::Setup(machine) = &mut self.state else {
            return Err(self.unexpected("a step of pair-setup"));
        };
        match machine.on_tlv(bytes)? {
            DeviceStep::Send(reply) => self.send_step(PairingKind::Setup, &reply, actions),
            DeviceStep::Refuse { reply, error } => {
                self.state = State::Idle;
                self.send_step(PairingKind::Setup, &reply, actions);
                actions.push(DeviceAction::SetupFailed(error));
            }
            DeviceStep::Done { reply, outcome } => {
                let SetupOutcome { peer, key, form } = *outcome;
                self.state = State::Idle;
                self.channel = Some(DeviceChannel::new(key.expose())?);
                self.freshly_paired = true;
                self.config.known_hosts.insert(peer.identifier.clone(), peer.public_key);
                self.send_step(PairingKind::Setup, &reply, actions);
                actions.push(DeviceAction::Paired { host: Box::new(peer), form });
            }
        }
        Ok(())
    }

    fn send_event(&mut self, event: Event, actions: &mut Vec<DeviceAction>) {
        actions.push(DeviceAction::Send(self.sender.event(event)));
    }

    fn send_step(&mut self, kind: PairingKind, tlv: &Tlv8, actions: &mut Vec<DeviceAction>) {
        actions.push(DeviceAction::Send(self.sender.pairing(kind, false, None, tlv)));
    }
}
