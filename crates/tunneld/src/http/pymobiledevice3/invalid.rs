//! Input that FastAPI refuses before a handler sees it, and the words that it has for that.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::JSON;
use crate::http::answer;
use crate::http::query::integer;

/// How many registries a question may still pass. Source: protocol.md §6.
pub(super) const HOPS_HEADER: &str = "x-tunneld-hops-remaining";
const HOPS: i64 = 4;

/// Why input is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Invalid {
    /// A parameter is not there: where it belongs and its name.
    Missing(&'static str, &'static str),
    /// A parameter is no whole number.
    Integer(&'static str, &'static str, String),
    /// A field of the body is no text.
    Text(&'static str, Value),
    /// The body is no JSON: at which letter, and why.
    Json(usize, &'static str),
    /// The body is larger than anybody needs, or does not come.
    Body(StatusCode),
}

impl Invalid {
    pub(super) fn response(self) -> Response {
        let detail = match self {
            Self::Missing(place, name) => {
                json!({"type": "missing", "loc": [place, name], "msg": "Field required", "input": null})
            }
            Self::Integer(place, name, input) => json!({
                "type": "int_parsing",
                "loc": [place, name],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "input": input,
            }),
            Self::Text(name, input) => json!({
                "type": "string_type",
                "loc": ["body", name],
                "msg": "Input should be a valid string",
                "input": input,
            }),
            Self::Json(at, error) => json!({
                "type": "json_invalid",
                "loc": ["body", at],
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": error},
            }),
            Self::Body(status) => {
                return answer::bytes(status, JSON, r#"{"detail":"There was an error parsing the body"}"#);
            }
        };
        answer::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": [detail]}))
    }
}

/// How many more registries may be asked for this answer.
pub(super) fn hops(headers: &HeaderMap) -> Result<i64, Invalid> {
    let Some(value) = headers.get(HOPS_HEADER) else { return Ok(HOPS) };
    // Header bytes are letters of Latin-1 there.
    let text: String = value.as_bytes().iter().copied().map(char::from).collect();
    integer(&text).ok_or(Invalid::Integer("header", HOPS_HEADER, text))
}
