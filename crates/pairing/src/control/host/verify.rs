//! Pair-verify within the host's dialogue: who answers, and is it the one that was pinned?

use std::time::Duration;

use rand_core::CryptoRng;

use super::{HostAction, HostControl, PeerProof, PinPolicy, State};
use crate::channel::HostChannel;
use crate::error::{ControlError, IdentityChange};
use crate::message::{Event, PairingKind};
use crate::record::{PairRecord, PinnedPeer, RemoteUnlock};
use crate::srp::OperandForm;
use crate::verify::{DeviceProof, VerifyError, VerifyHost};

impl HostControl {
    pub(super) fn begin_verify(
        &mut self,
        now: Duration,
        rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let (machine, v1) = VerifyHost::start(rng);
        self.state = State::Verify { machine: Box::new(machine), proof: None };
        let envelope = self.sender.pairing(PairingKind::Verify, true, None, &v1);
        self.send(now, envelope, actions);
        Ok(())
    }

    pub(super) fn on_verify_step(
        &mut self,
        now: Duration,
        bytes: &[u8],
        _rng: &mut dyn CryptoRng,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let State::Verify { machine, proof } = &mut self.state else {
            return Err(self.unexpected("a step of pair-verify"));
        };
        let Some(proof) = *proof else {
            return match machine.on_v2(bytes) {
                Ok(device) => self.on_device_proof(now, &device, actions),
                Err(VerifyError::Refused { error, .. }) => self.fall_back(now, error.code, actions),
                Err(error) => Err(error.into()),
            };
        };
        match machine.on_v4(bytes) {
            Ok(secret) => {
                self.channel = Some(HostChannel::new(secret.as_slice())?);
                self.secret = Some(secret);
                actions.push(HostAction::Verified(proof));
                tracing::debug!(?proof, "host: pair-verify succeeded");
                let unknown = self
                    .config
                    .record
                    .as_ref()
                    .is_some_and(|record| record.remote_unlock == RemoteUnlock::Unknown);
                self.after_keys(now, unknown, actions)
            }
            Err(VerifyError::Refused { error, .. }) => self.fall_back(now, error.code, actions),
            Err(error) => Err(error.into()),
        }
    }

    /// V2 was read: without a record of the device there is nothing to prove (frida does the same), with one its
    /// identity must be the pinned one.
    fn on_device_proof(
        &mut self,
        now: Duration,
        device: &DeviceProof,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        let Some(record) = &self.config.record else {
            return self.fall_back(now, crate::tlv8::PeerErrorCode::UnknownPeer, actions);
        };
        let found = check_proof(record, device, self.config.pin_policy)?;
        let identity = record.host.clone();
        let State::Verify { machine, proof } = &mut self.state else {
            return Err(self.unexpected("V2"));
        };
        let v3 = machine.v3(&identity)?;
        *proof = Some(found);
        let envelope = self.sender.pairing(PairingKind::Verify, false, None, &v3);
        self.send(now, envelope, actions);
        Ok(())
    }

    /// Says that pair-verify failed and goes on with pair-setup on the same connection. Source: protocol.md §5.4.
    fn fall_back(
        &mut self,
        now: Duration,
        code: crate::tlv8::PeerErrorCode,
        actions: &mut Vec<HostAction>,
    ) -> Result<(), ControlError> {
        tracing::debug!(%code, "host: no valid pairing");
        let envelope = self.sender.event(Event::PairVerifyFailed);
        actions.push(HostAction::Send(envelope));
        self.begin_setup(now, OperandForm::Stripped, false, actions)
    }
}

fn check_proof(
    record: &PairRecord,
    device: &DeviceProof,
    policy: PinPolicy,
) -> Result<PeerProof, ControlError> {
    let Some(PinnedPeer { identifier, public_key }) = &record.peer else {
        return Ok(PeerProof::NotPinned);
    };
    let change = if *identifier != device.identifier {
        IdentityChange::Identifier { pinned: identifier.clone(), presented: device.identifier.clone() }
    } else if device.check(public_key).is_err() {
        IdentityChange::Signature { pinned: public_key.fingerprint() }
    } else {
        return Ok(PeerProof::Verified);
    };
    tracing::warn!(%change, "host: the device's identity is not the pinned one");
    match policy {
        PinPolicy::Strict => Err(ControlError::IdentityChanged { record: record.identifier.clone(), change }),
        PinPolicy::Report => Ok(PeerProof::Mismatch),
    }
}
