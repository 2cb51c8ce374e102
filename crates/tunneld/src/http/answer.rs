//! Bodies that more than one face sends.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// The `schema` of an error.
pub(super) const ERROR_SCHEMA: &str = "iosmux-tunneld/error/1";

/// What is sent instead of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failure {
    /// `iosmux-tunneld/error/1`.
    #[schema(example = "iosmux-tunneld/error/1")]
    schema: &'static str,
    /// What went wrong.
    error: Problem,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct Problem {
    /// For programs; it does not change between versions.
    #[schema(example = "unknown-device")]
    code: String,
    /// For people.
    message: String,
    /// What to do about it; null where it passes by itself.
    next_step: Option<String>,
}

/// An error of ours.
pub(super) fn error(status: StatusCode, code: &str, message: &str, next_step: Option<&str>) -> Response {
    let error = Problem {
        code: code.to_owned(),
        message: message.to_owned(),
        next_step: next_step.map(str::to_owned),
    };
    json(status, &Failure { schema: ERROR_SCHEMA, error })
}

/// A JSON body without spaces.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Every type that is sent has text keys and no failing parts: this is never empty.
    bytes(status, Some("application/json"), serde_json::to_vec(value).unwrap_or_default())
}

/// Any body, with or without a type.
pub(super) fn bytes(
    status: StatusCode,
    content_type: Option<&'static str>,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}
