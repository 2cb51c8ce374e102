//! The host's half of pair-setup: M1, M3 and M5 out, M2, M4 and M6 in.

use rand_core::CryptoRng;

use super::{M5, M6, SetupError, SetupOutcome, check_pin};
use crate::identity::Identity;
use crate::info::{HostDescription, host_info};
use crate::srp::{Client, ClientAnswer, ELEMENT_LEN, OperandForm, SALT_LEN, SessionKey};
use crate::tlv8::{PeerErrorCode, Tlv8, tag};

/// A pair-setup under way.
pub struct SetupHost {
    identity: Identity,
    description: HostDescription,
    form: OperandForm,
    state: State,
}

enum State {
    AwaitM2,
    AwaitPin(Box<Client>),
    AwaitM4(Box<ClientAnswer>),
    AwaitM6 { key: SessionKey, form: Option<OperandForm> },
    Done,
}

impl State {
    fn waits_for(&self) -> &'static str {
        match self {
            Self::AwaitM2 => "M2 was expected",
            Self::AwaitPin(_) => "the PIN was expected",
            Self::AwaitM4(_) => "M4 was expected",
            Self::AwaitM6 { .. } => "M6 was expected",
            Self::Done => "nothing was expected",
        }
    }
}

/// What the host does next.
#[derive(Debug)]
pub enum HostStep {
    /// Go on with [`SetupHost::on_pin`].
    NeedPin,
    /// Send this.
    Send(Tlv8),
    /// The peer is known and its signature holds.
    Done(Box<SetupOutcome>),
}

impl SetupHost {
    /// Begins with M1; `form` is the form of the SRP operands to try.
    pub fn start(identity: Identity, description: HostDescription, form: OperandForm) -> (Self, Tlv8) {
        let host = Self { identity, description, form, state: State::AwaitM2 };
        (host, Tlv8::new().with(tag::METHOD, [0]).with_state(1))
    }

    /// Whether nothing came yet.
    pub(crate) fn awaits_m2(&self) -> bool {
        matches!(self.state, State::AwaitM2)
    }

    /// Takes M2, M4 or M6.
    ///
    /// # Errors
    /// [`SetupError`]; pair-setup is over then.
    pub fn on_tlv(&mut self, bytes: &[u8]) -> Result<HostStep, SetupError> {
        let tlv = Tlv8::decode(bytes)?;
        let state = std::mem::replace(&mut self.state, State::Done);
        match state {
            State::AwaitM2 => self.on_m2(&tlv),
            State::AwaitM4(answer) => self.on_m4(&tlv, *answer),
            State::AwaitM6 { key, form } => {
                refused(&tlv, "M6")?;
                let peer = M6.read(&tlv, &key)?;
                Ok(HostStep::Done(Box::new(SetupOutcome { peer, key, form })))
            }
            other => Err(SetupError::Unexpected { while_in: other.waits_for() }),
        }
    }

    fn on_m2(&mut self, tlv: &Tlv8) -> Result<HostStep, SetupError> {
        refused(tlv, "M2")?;
        tlv.expect_state("M2", 2)?;
        let salt: [u8; SALT_LEN] = tlv.require_array("M2", tag::SALT, "salt")?;
        let public: [u8; ELEMENT_LEN] = tlv.require_array("M2", tag::PUBLIC_KEY, "public key")?;
        self.state = State::AwaitPin(Box::new(Client::new(salt, &public)?));
        Ok(HostStep::NeedPin)
    }

    /// Takes the PIN and gives M3.
    ///
    /// # Errors
    /// [`SetupError::PinLength`], [`SetupError::Unexpected`] when no PIN is needed.
    pub fn on_pin(&mut self, pin: &str, rng: &mut dyn CryptoRng) -> Result<Tlv8, SetupError> {
        let State::AwaitPin(client) = &self.state else {
            return Err(SetupError::Unexpected { while_in: self.state.waits_for() });
        };
        check_pin(pin)?;
        let answer = client.answer(pin, self.form, rng)?;
        let m3 =
            Tlv8::new().with_state(3).with(tag::PUBLIC_KEY, answer.public_key).with(tag::PROOF, answer.proof);
        self.state = State::AwaitM4(Box::new(answer));
        Ok(m3)
    }

    fn on_m4(&mut self, tlv: &Tlv8, answer: ClientAnswer) -> Result<HostStep, SetupError> {
        let form = answer.form;
        if tlv.peer_error().is_some_and(|error| error.code == PeerErrorCode::Authentication) {
            return Err(SetupError::WrongPin { other_form: form.map(OperandForm::other) });
        }
        refused(tlv, "M4")?;
        tlv.expect_state("M4", 4)?;
        let key = answer.confirm(&tlv.require_array("M4", tag::PROOF, "proof")?)?;
        let m5 = M5.write(&self.identity, &key, &host_info(&self.identity, &self.description)?)?;
        self.state = State::AwaitM6 { key, form };
        Ok(HostStep::Send(m5))
    }
}

fn refused(tlv: &Tlv8, step: &'static str) -> Result<(), SetupError> {
    tlv.peer_error().map_or(Ok(()), |error| Err(SetupError::Refused { step, error }))
}

impl std::fmt::Debug for SetupHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupHost").field("state", &self.state.waits_for()).finish_non_exhaustive()
    }
}
