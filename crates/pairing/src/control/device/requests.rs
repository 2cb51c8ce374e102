//! The encrypted requests that the device answers.

use super::{DeviceAction, DeviceControl, Listening, State};
use crate::error::ControlError;
use crate::listener::ListenerAnswer;
use crate::message::{Body, ErrorExtended, Request, Response};
use crate::not_sourced::{REMOTEPAIRING_ENCRYPTED_EVENT, REMOTEPAIRING_REQUEST};

impl DeviceControl {
    pub(super) fn on_sealed(
        &mut self,
        sealed: &[u8],
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        let Some(channel) = self.channel.as_mut() else {
            return Err(self.unexpected("an encrypted message before a channel"));
        };
        let body = Body::from_json(&channel.open_request(sealed)?)?;
        tracing::trace!(message = body.name(), waiting_for = self.waits_for(), "device: received, encrypted");
        match body {
            Body::Request(Request::CreateRemoteUnlockKey) => {
                let response = match self.config.unlock_key.clone() {
                    Ok(key) => Response::CreateRemoteUnlockKey(key),
                    Err(error) => Response::Error(error),
                };
                self.respond(response, actions)?;
                if self.freshly_paired && self.config.close_after_setup {
                    (self.state, self.channel) = (State::Over, None);
                    actions.push(DeviceAction::Close);
                }
                Ok(())
            }
            Body::Request(Request::CreateListener(request)) => {
                self.state = State::Listener;
                actions.push(DeviceAction::OpenListener(request));
                Ok(())
            }
            Body::Request(Request::Other(name)) => {
                tracing::warn!(request = name, "device: a request that no source shows the answer of");
                Err(REMOTEPAIRING_REQUEST.into())
            }
            Body::Event(_) => Err(REMOTEPAIRING_ENCRYPTED_EVENT.into()),
            other => Err(self.unexpected(other.name())),
        }
    }

    pub(super) fn on_listening(
        &mut self,
        result: Result<Listening, ErrorExtended>,
        actions: &mut Vec<DeviceAction>,
    ) -> Result<(), ControlError> {
        if !matches!(self.state, State::Listener) {
            return Err(ControlError::OutOfOrder { what: "a listener", waiting_for: self.waits_for() });
        }
        self.state = State::Idle;
        let response = match result {
            Ok(listening) => Response::CreateListener(ListenerAnswer {
                port: listening.port,
                device_public_key: Some(listening.device_public_key),
                service_name: listening.service_name,
            }),
            Err(error) => Response::Error(error),
        };
        self.respond(response, actions)
    }

    fn respond(&mut self, response: Response, actions: &mut Vec<DeviceAction>) -> Result<(), ControlError> {
        let json = Body::Response(response).to_json()?;
        let Some(channel) = self.channel.as_mut() else {
            return Err(self.unexpected("an answer without a channel"));
        };
        let sealed = channel.seal_response(&json)?;
        actions.push(DeviceAction::Send(self.sender.sealed(sealed)));
        Ok(())
    }
}
