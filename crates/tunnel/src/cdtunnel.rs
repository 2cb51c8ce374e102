//! CDTunnel: the request and the response that open a tunnel.
//!
//! A message is `CDTunnel`, the length of the rest as a big-endian `u16`, and JSON.
//! Source: protocol.md §5.9; tests/fixtures/cdtunnel_server_response.json.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::Ipv6Addr;
use thiserror::Error;

/// What every message begins with. Source: protocol.md §5.9.
pub const MAGIC: [u8; 8] = *b"CDTunnel";

/// Bytes before the JSON: the magic and the length.
pub const HEADER_LEN: usize = 10;

/// The longest message in bytes, header included: the length is a `u16`.
pub const MAX_LEN: usize = HEADER_LEN + u16::MAX as usize;

/// The longest text of a peer that an error repeats, in characters.
const QUOTED: usize = 64;

/// A message of either side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Host to device: open a tunnel.
    ClientHandshakeRequest(ClientHandshakeRequest),
    /// Device to host: it is open.
    ServerHandshakeResponse(ServerHandshakeResponse),
}

/// What the host asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHandshakeRequest {
    /// The largest inner packet that the host wants, in bytes.
    pub mtu: u32,
}

/// What the device gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerHandshakeResponse {
    /// The host's end of the tunnel.
    pub client_parameters: ClientParameters,
    /// The device's end of the tunnel.
    pub server_address: Ipv6Addr,
    /// The TCP port of RSD at [`Self::server_address`].
    #[serde(rename = "serverRSDPort")]
    pub server_rsd_port: u16,
}

/// The host's end of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientParameters {
    /// The host's address.
    pub address: Ipv6Addr,
    /// The largest inner packet, in bytes.
    pub mtu: u32,
    /// The network's mask, written as an address.
    pub netmask: Ipv6Addr,
}

/// Bytes that are not a message this crate knows.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The magic is missing.
    #[error(
        "the bytes \"CDTunnel\" were expected at the start of a tunnel, {got} came; check that the port is a tunnel's \
         and that both sides mean the same transport"
    )]
    Magic {
        /// The bytes instead, as text where they are text.
        got: String,
    },
    /// The body isn't JSON, or not of the message's shape.
    #[error("a CDTunnel {what} was expected in {length} bytes of JSON: {source}; report this iOS version")]
    Json {
        /// `message`, or the type that the message says it has.
        what: &'static str,
        /// Length of the JSON in bytes.
        length: usize,
        /// What the JSON decoder said.
        source: serde_json::Error,
    },
    /// The message has no text under `type`.
    #[error("a CDTunnel message has its type as text, this one has none; report this iOS version")]
    NoType,
    /// A type that no source describes. Binaries also know `additionalConnectionHello` and
    /// `additionalConnectionResponse`, whose contents are unknown.
    #[error(
        "a CDTunnel message of type clientHandshakeRequest or serverHandshakeResponse was expected, {got:?} came; \
         report this iOS version"
    )]
    UnknownType {
        /// The type, cut to a readable length.
        got: String,
    },
}

/// A message that doesn't fit.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The JSON is too long for its length field.
    #[error("a CDTunnel message of at most 65535 bytes was expected, {0} came")]
    TooLong(usize),
    /// The JSON encoder refused.
    #[error("a CDTunnel message can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Message {
    /// The value of `type`. Source: protocol.md §5.9.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::ClientHandshakeRequest(_) => "clientHandshakeRequest",
            Self::ServerHandshakeResponse(_) => "serverHandshakeResponse",
        }
    }

    /// Reads the message at the start of `bytes`: it and its length in bytes, or `None` while bytes are missing.
    ///
    /// Keys that aren't known are passed over. At most [`MAX_LEN`] bytes are ever needed.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let seen = bytes.len().min(MAGIC.len());
        if bytes.get(..seen) != MAGIC.get(..seen) {
            return Err(DecodeError::Magic { got: quoted_bytes(bytes) });
        }
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let [.., high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(body) = rest.get(..length) else { return Ok(None) };
        Ok(Some((Self::from_json(body)?, HEADER_LEN.saturating_add(length))))
    }

    /// The message with its header; the keys are in the order in which working clients and the captured phone have them.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let named = Value::from(self.type_name());
        let body = match self {
            Self::ClientHandshakeRequest(request) => json!({ "type": named, "mtu": request.mtu }),
            Self::ServerHandshakeResponse(response) => {
                let mut body = serde_json::to_value(response)?;
                if let Value::Object(fields) = &mut body {
                    fields.insert("type".to_owned(), named);
                }
                body
            }
        };
        let body = serde_json::to_vec(&body)?;
        let length = u16::try_from(body.len()).map_err(|_| EncodeError::TooLong(body.len()))?;
        Ok([MAGIC.as_slice(), &length.to_be_bytes(), &body].concat())
    }

    fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        let wrong = |what| move |source| DecodeError::Json { what, length: body.len(), source };
        let value: Value = serde_json::from_slice(body).map_err(wrong("message"))?;
        let Some(name) = value.get("type").and_then(Value::as_str) else { return Err(DecodeError::NoType) };
        match name {
            "clientHandshakeRequest" => {
                let read = ClientHandshakeRequest::deserialize(&value);
                read.map(Self::ClientHandshakeRequest).map_err(wrong("clientHandshakeRequest"))
            }
            "serverHandshakeResponse" => {
                let read = ServerHandshakeResponse::deserialize(&value);
                read.map(Self::ServerHandshakeResponse).map_err(wrong("serverHandshakeResponse"))
            }
            other => Err(DecodeError::UnknownType { got: other.chars().take(QUOTED).collect() }),
        }
    }
}

fn quoted_bytes(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(MAGIC.len())).unwrap_or_default();
    start.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The phone's answer, from a capture.
    const RESPONSE: &str = include_str!("../tests/fixtures/cdtunnel_server_response.json");

    fn framed(json: &str) -> Vec<u8> {
        let length = u16::try_from(json.len()).unwrap();
        [MAGIC.as_slice(), &length.to_be_bytes(), json.as_bytes()].concat()
    }

    #[test]
    fn the_phones_answer_is_read() {
        let (message, used) = Message::decode(&framed(RESPONSE)).unwrap().unwrap();
        assert_eq!(used, HEADER_LEN + RESPONSE.len());
        let Message::ServerHandshakeResponse(response) = message else { panic!("{message:?}") };
        assert_eq!(response.server_address, "fd58:8c92:8961::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(response.server_rsd_port, 56307);
        assert_eq!(response.client_parameters.address, "fd58:8c92:8961::2".parse::<Ipv6Addr>().unwrap());
        assert_eq!(response.client_parameters.mtu, 1280);
    }

    #[test]
    fn the_phones_answer_is_written_with_its_keys_in_its_order() {
        let (message, _) = Message::decode(&framed(RESPONSE)).unwrap().unwrap();
        let compact: Value = serde_json::from_str(RESPONSE).unwrap();
        let expected = framed(&serde_json::to_string(&compact).unwrap());
        assert_eq!(message.encode().unwrap().escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn the_request_is_written() {
        let bytes = Message::ClientHandshakeRequest(ClientHandshakeRequest { mtu: 16_000 }).encode().unwrap();
        insta::assert_snapshot!(bytes.escape_ascii(), @r#"CDTunnel\x00-{\"type\":\"clientHandshakeRequest\",\"mtu\":16000}"#);
    }

    #[test]
    fn a_body_of_256_bytes_and_more_is_read() {
        for length in [255, 256, 257, 0x1234, 0xffff] {
            let json = r#"{"type":"clientHandshakeRequest","mtu":16000,"x":""#;
            let json = format!("{json}{}\"}}", "y".repeat(length - json.len() - 2));
            let (message, used) = Message::decode(&framed(&json)).unwrap().unwrap();
            assert_eq!(
                (message.type_name(), used),
                ("clientHandshakeRequest", HEADER_LEN + length),
                "{length}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(server: u128, client: u128, netmask: u128, port: u16, mtu: u32) {
            let parameters = ClientParameters {
                address: Ipv6Addr::from_bits(client),
                mtu,
                netmask: Ipv6Addr::from_bits(netmask),
            };
            let response = Message::ServerHandshakeResponse(ServerHandshakeResponse {
                client_parameters: parameters,
                server_address: Ipv6Addr::from_bits(server),
                server_rsd_port: port,
            });
            for message in [response, Message::ClientHandshakeRequest(ClientHandshakeRequest { mtu })] {
                let bytes = message.encode().unwrap();
                prop_assert_eq!(Message::decode(&bytes).unwrap(), Some((message, bytes.len())));
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..500), magic: bool) {
            let bytes = if magic { [MAGIC.as_slice(), &[0, 50], &bytes].concat() } else { bytes };
            if let Ok(Some((_, used))) = Message::decode(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }
    }

    #[test]
    fn what_is_not_there_yet_is_waited_for() {
        let bytes = framed(RESPONSE);
        for end in 0..bytes.len() {
            assert!(Message::decode(&bytes[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn another_protocol_is_seen_at_its_first_byte() {
        for bytes in [b"RPPairing\x00\x02{}".as_slice(), b"\x16\x03\x01", b"C\x00"] {
            let error = Message::decode(bytes).unwrap_err();
            assert!(matches!(error, DecodeError::Magic { .. }), "{error}");
        }
    }

    #[test]
    fn what_no_source_describes_is_an_error_of_its_own() {
        let error = Message::decode(&framed(r#"{"type":"additionalConnectionHello"}"#)).unwrap_err();
        insta::assert_snapshot!(error, @r#"a CDTunnel message of type clientHandshakeRequest or serverHandshakeResponse was expected, "additionalConnectionHello" came; report this iOS version"#);
        let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(60_000));
        let error = Message::decode(&framed(&long)).unwrap_err().to_string();
        assert!(error.len() < 300, "{error}");
    }

    #[test]
    fn bad_json_is_an_error_of_its_own() {
        for json in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"clientHandshakeRequest"}"#,
            r#"{"type":"clientHandshakeRequest","mtu":-1}"#,
            r#"{"type":"clientHandshakeRequest","mtu":1e3}"#,
            r#"{"type":"serverHandshakeResponse","serverAddress":"10.0.0.1"}"#,
            &RESPONSE.replace("56307", "65536"),
            &RESPONSE.replace("::2", "::2%eth0"),
            &"[".repeat(50_000),
        ] {
            assert!(Message::decode(&framed(json)).is_err(), "{json}");
        }
    }
}
