//! The device's half of pair-setup: M2, M4 and M6 out, M1, M3 and M5 in.

use rand_core::CryptoRng;

use super::{M5, M6, SetupError, SetupOutcome, check_pin};
use crate::identity::Identity;
use crate::srp::{OperandForm, PROOF_LEN, Server, SessionKey, SrpError};
use crate::tlv8::{PeerError, PeerErrorCode, Tlv8, error_reply, tag};

/// A pair-setup under way.
pub struct SetupDevice {
    identity: Identity,
    info: Vec<u8>,
    state: State,
}

enum State {
    AwaitM3(Box<Server>),
    AwaitM5 { key: SessionKey, form: Option<OperandForm> },
    Done,
}

/// What the device does next.
#[derive(Debug)]
pub enum DeviceStep {
    /// Send this and go on.
    Send(Tlv8),
    /// Send this; pair-setup is over and the host may begin anew.
    Refuse {
        /// The reply.
        reply: Tlv8,
        /// Why.
        error: SetupError,
    },
    /// Send this; the host is known and its signature holds.
    Done {
        /// M6.
        reply: Tlv8,
        /// The host and the session key.
        outcome: Box<SetupOutcome>,
    },
}

impl SetupDevice {
    /// Checks M1.
    ///
    /// # Errors
    /// [`SetupError::Tlv`] and [`SetupError::Method`].
    pub fn check_m1(bytes: &[u8]) -> Result<(), SetupError> {
        let tlv = Tlv8::decode(bytes)?;
        tlv.expect_state("M1", 1)?;
        match tlv.get(tag::METHOD) {
            None | Some([0]) => Ok(()),
            Some(other) => Err(SetupError::Method { got: other.first().copied().unwrap_or_default() }),
        }
    }

    /// Answers M1 with M2; `info` is the device's OPACK dictionary.
    ///
    /// # Errors
    /// [`SetupError::PinLength`] and [`SetupError::Srp`].
    pub fn start(
        identity: Identity,
        info: Vec<u8>,
        pin: &str,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Tlv8), SetupError> {
        check_pin(pin)?;
        let server = Server::new(pin, rng)?;
        let m2 = Tlv8::new()
            .with_state(2)
            .with(tag::SALT, server.salt())
            .with(tag::PUBLIC_KEY, server.public_key());
        Ok((Self { identity, info, state: State::AwaitM3(Box::new(server)) }, m2))
    }

    /// Takes M3 or M5.
    ///
    /// # Errors
    /// [`SetupError`] for what is no step at all; a wrong proof is [`DeviceStep::Refuse`].
    pub fn on_tlv(&mut self, bytes: &[u8]) -> Result<DeviceStep, SetupError> {
        let tlv = Tlv8::decode(bytes)?;
        match std::mem::replace(&mut self.state, State::Done) {
            State::AwaitM3(server) => {
                tlv.expect_state("M3", 3)?;
                self.on_m3(&tlv, &server)
            }
            State::AwaitM5 { key, form } => {
                tlv.expect_state("M5", 5)?;
                match M5.read(&tlv, &key) {
                    Ok(peer) => {
                        let reply = M6.write(&self.identity, &key, &self.info)?;
                        Ok(DeviceStep::Done { reply, outcome: Box::new(SetupOutcome { peer, key, form }) })
                    }
                    Err(error) => Ok(refuse(6, error)),
                }
            }
            State::Done => Err(SetupError::Unexpected { while_in: "nothing was expected" }),
        }
    }

    fn on_m3(&mut self, tlv: &Tlv8, server: &Server) -> Result<DeviceStep, SetupError> {
        let public = tlv.require("M3", tag::PUBLIC_KEY, "public key")?;
        let proof: [u8; PROOF_LEN] = tlv.require_array("M3", tag::PROOF, "proof")?;
        match server.check(public, &proof) {
            Ok(session) => {
                let m4 = Tlv8::new().with_state(4).with(tag::PROOF, session.proof);
                self.state = State::AwaitM5 { key: session.key, form: session.form };
                Ok(DeviceStep::Send(m4))
            }
            Err(SrpError::WrongProof) => Ok(refuse(4, SetupError::WrongPin { other_form: None })),
            Err(error) => Ok(refuse(4, error.into())),
        }
    }
}

/// Error 2, which a wrong proof and a wrong signature get. Source: protocol.md §5.3.
fn refuse(state: u8, error: SetupError) -> DeviceStep {
    let code = PeerError { code: PeerErrorCode::Authentication, retry_delay: None };
    DeviceStep::Refuse { reply: error_reply(state, code), error }
}

impl std::fmt::Debug for SetupDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::AwaitM3(_) => "M3",
            State::AwaitM5 { .. } => "M5",
            State::Done => "nothing",
        };
        f.debug_struct("SetupDevice").field("expects", &state).finish_non_exhaustive()
    }
}
