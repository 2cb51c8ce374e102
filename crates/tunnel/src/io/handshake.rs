//! CDTunnel over a link, both ends. Reads to the last byte of a message and no further: packets may follow at once.

use super::error::TunnelError;
use super::link::Link;
use crate::cdtunnel::{ClientHandshakeRequest, HEADER_LEN, Message};
use crate::parameters::{DeviceParameters, Parameters, checked_mtu};
use std::future::poll_fn;

/// The step's name in errors.
const STEP: &str = "the CDTunnel handshake";

/// Host: asks for an MTU, reads what the device gives.
pub(crate) async fn request(link: &mut impl Link, mtu: u16) -> Result<Parameters, TunnelError> {
    let asked = checked_mtu("the host", mtu)?;
    let request = Message::ClientHandshakeRequest(ClientHandshakeRequest { mtu: u32::from(asked) });
    write(link, &request).await?;
    match read(link).await? {
        Message::ServerHandshakeResponse(response) => Ok(Parameters::from_response(asked, &response)?),
        other => Err(TunnelError::Role { expected: "serverHandshakeResponse", got: other.type_name() }),
    }
}

/// Device: reads what the host asks for, answers with what it gets.
pub(crate) async fn answer(
    link: &mut impl Link,
    offer: &DeviceParameters,
) -> Result<Parameters, TunnelError> {
    match read(link).await? {
        Message::ClientHandshakeRequest(request) => {
            let (parameters, response) = Parameters::grant(&request, offer)?;
            write(link, &Message::ServerHandshakeResponse(response)).await?;
            Ok(parameters)
        }
        other => Err(TunnelError::Role { expected: "clientHandshakeRequest", got: other.type_name() }),
    }
}

async fn write(link: &mut impl Link, message: &Message) -> Result<(), TunnelError> {
    let bytes = message.encode()?;
    poll_fn(|cx| link.poll_send(cx, &bytes)).await.map_err(in_step)
}

/// A link knows of the relay only.
fn in_step(error: TunnelError) -> TunnelError {
    match error {
        TunnelError::Connection { source, .. } => TunnelError::Connection { during: STEP, source },
        other => other,
    }
}

async fn read(link: &mut impl Link) -> Result<Message, TunnelError> {
    let mut bytes = vec![0; HEADER_LEN];
    let mut filled = 0_usize;
    loop {
        let space = bytes.get_mut(filled..).unwrap_or_default();
        let count = poll_fn(|cx| link.poll_read(cx, space)).await.map_err(in_step)?;
        if count == 0 {
            return Err(TunnelError::Closed { during: STEP });
        }
        filled = filled.saturating_add(count).min(bytes.len());
        if let Some((message, _)) = Message::decode(bytes.get(..filled).unwrap_or_default())? {
            return Ok(message);
        }
        if let Some([.., high, low]) = bytes.first_chunk::<HEADER_LEN>().filter(|_| filled == HEADER_LEN) {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            bytes.resize(HEADER_LEN.saturating_add(length), 0);
        }
    }
}
