//! What must hold for any bytes given to the CDTunnel codec. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_tunnel::cdtunnel::{DecodeError, MAX_LEN, Message};
use iosmux_tunnel::{MAX_MTU, MIN_MTU, Parameters};

/// What the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A message.
    Good,
    /// The start of one.
    Open,
    /// None.
    Bad,
}

/// Decodes the bytes and checks what came out.
pub(crate) fn cdtunnel(bytes: &[u8]) -> Verdict {
    match Message::decode(bytes) {
        Ok(Some((message, used))) => {
            assert!(used <= bytes.len() && used <= MAX_LEN);
            let written = message.encode().unwrap();
            let (again, all) = Message::decode(&written).unwrap().unwrap();
            assert_eq!((&again, all), (&message, written.len()), "what was written reads back");
            if let Message::ServerHandshakeResponse(response) = message
                && let Ok(parameters) = Parameters::from_response(MAX_MTU, &response)
            {
                assert!((MIN_MTU..=MAX_MTU).contains(&parameters.mtu));
                assert!(
                    parameters.client_address.is_unique_local()
                        && parameters.server_address.is_unique_local()
                );
                assert!(
                    parameters.client_address != parameters.server_address && parameters.server_rsd_port > 0
                );
            }
            Verdict::Good
        }
        Ok(None) => {
            assert!(bytes.len() < MAX_LEN, "more bytes than any message has are never waited for");
            Verdict::Open
        }
        Err(error) => {
            assert!(error.to_string().len() < 500, "an error repeats little of what came");
            assert!(!matches!(error, DecodeError::Magic { .. }) || !bytes.starts_with(b"CDTunnel"));
            Verdict::Bad
        }
    }
}
