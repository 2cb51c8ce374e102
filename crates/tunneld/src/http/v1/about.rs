//! What the daemon does and is.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Here;
use super::model::{Now, Search, Unidentified};
use crate::http::answer::{Failure, bytes, json};
use crate::http::metrics as counted;

/// Where phones are looked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Searches {
    /// `iosmux-tunneld/searches/1`.
    schema: &'static str,
    searches: Vec<Search>,
}

/// Addresses whose phone is not known.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllUnidentified {
    /// `iosmux-tunneld/unidentified/1`.
    schema: &'static str,
    unidentified: Vec<Unidentified>,
}

/// What runs here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Version {
    /// `iosmux-tunneld/version/1`.
    schema: &'static str,
    name: &'static str,
    version: &'static str,
    /// For how long it runs.
    for_seconds: u64,
    /// What it speaks, and where.
    faces: Vec<Spoken>,
}

/// Faces on one address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Spoken {
    #[schema(example = "pymobiledevice3, v1")]
    faces: &'static str,
    /// An address, or the path of the socket.
    #[schema(example = "127.0.0.1:49151")]
    address: String,
}

/// On which interfaces phones are looked for, and what prevents it there.
#[utoipa::path(get, path = "/searches", tag = "devices", responses(
    (status = 200, body = Searches),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn searches(Shared(context): Here) -> Response {
    let searches = context.fleet.snapshot().searches.iter().map(Search::new).collect();
    json(StatusCode::OK, &Searches { schema: "iosmux-tunneld/searches/1", searches })
}

/// Addresses where a phone may be that has not said who it is.
#[utoipa::path(get, path = "/unidentified", tag = "devices", responses(
    (status = 200, body = AllUnidentified),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn unidentified(Shared(context): Here) -> Response {
    let now = Now::read();
    let unidentified =
        context.fleet.snapshot().unidentified.iter().map(|one| Unidentified::new(one, now)).collect();
    json(StatusCode::OK, &AllUnidentified { schema: "iosmux-tunneld/unidentified/1", unidentified })
}

/// Which daemon this is, and which faces it has where.
#[utoipa::path(get, path = "/version", tag = "daemon", responses(
    (status = 200, body = Version),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn version(Shared(context): Here) -> Response {
    let faces = context.faces.iter().map(|(faces, address)| Spoken { faces, address: address.clone() });
    let version = Version {
        schema: "iosmux-tunneld/version/1",
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        for_seconds: context.now().as_secs(),
        faces: faces.collect(),
    };
    json(StatusCode::OK, &version)
}

/// Everything that is counted, for Prometheus; `/metrics` is the same.
#[utoipa::path(get, path = "/metrics", tag = "daemon", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn metrics(Shared(context): Here) -> Response {
    counted::answer(&context).await
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "daemon", responses(
    (status = 200, body = Object, description = "OpenAPI 3.1"),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn description() -> Response {
    bytes(StatusCode::OK, Some("application/json"), super::DESCRIPTION)
}
