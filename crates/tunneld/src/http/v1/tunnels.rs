//! What can be asked of a phone: pairing and its tunnel.

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use iosmux_pairing::identity::check_identifier;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::Tunnel;
use super::{Here, Udid, failed, leased, not_a_udid};
use crate::fleet::CommandError;
use crate::http::answer::{Failure, json};
use crate::http::context::Context;
use crate::model;

/// A tunnel that can be used.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Started {
    /// `iosmux-tunneld/tunnel/1`.
    schema: &'static str,
    udid: String,
    tunnel: Tunnel,
}

/// A tunnel that was taken down.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stopped {
    /// `iosmux-tunneld/stopped/1`.
    schema: &'static str,
    udid: String,
    /// Whether there was one.
    stopped: bool,
}

/// A pair record that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unpaired {
    /// `iosmux-tunneld/unpaired/1`.
    schema: &'static str,
    udid: String,
    /// Whether there was one.
    removed: bool,
}

/// Everything was told to look again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refreshed {
    /// `iosmux-tunneld/refreshed/1`.
    schema: &'static str,
    refreshed: bool,
}

fn started(context: &Context, udid: &str, tunnel: Result<model::Tunnel, CommandError>) -> Response {
    match tunnel {
        Ok(tunnel) => {
            let (udid, tunnel) = (own_udid(context, udid), Tunnel::new(&tunnel));
            json(StatusCode::OK, &Started { schema: "iosmux-tunneld/tunnel/1", udid, tunnel })
        }
        Err(error) => failed(context, &error),
    }
}

/// A UDID as its phone writes it.
fn own_udid(context: &Context, udid: &str) -> String {
    let snapshot = context.fleet.snapshot();
    snapshot.device(udid).map_or_else(|| udid.to_owned(), |device| device.identity.udid.clone())
}

/// Pairs, even where that is not done by itself, and answers once the tunnel can be used: the phone may ask its user.
#[utoipa::path(post, path = "/devices/{udid}/pair", tag = "pairing", params(("udid" = String, Path)), responses(
    (status = 200, body = Started),
    (status = 400, body = Failure, description = "The UDID is none"),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
    (status = 404, body = Failure, description = "No such phone is here"),
    (status = 502, body = Failure, description = "It ended elsewhere than at a tunnel"),
    (status = 503, body = Failure, description = "The daemon is shutting down"),
))]
pub(super) async fn pair(Shared(context): Here, Udid(udid): Udid) -> Response {
    let tunnel = context.fleet.pair(&udid).await;
    started(&context, &udid, tunnel)
}

/// Forgets the pair record of a phone, here or not, and takes its tunnel down.
#[utoipa::path(delete, path = "/devices/{udid}/pair", tag = "pairing",
    params(("udid" = String, Path), ("x-iosmux-lease" = Option<String>, Header, description = "The token of a lease")),
    responses(
        (status = 200, body = Unpaired),
        (status = 400, body = Failure, description = "The UDID is none"),
        (status = 403, body = Failure, description = "A web page or a stranger asks"),
        (status = 409, body = Failure, description = "Somebody else has a lease"),
        (status = 500, body = Failure, description = "The record can't be removed"),
        (status = 503, body = Failure, description = "The daemon is shutting down"),
    ))]
pub(super) async fn unpair(Shared(context): Here, Udid(udid): Udid, headers: HeaderMap) -> Response {
    if let Some(held) = context.held_by_other(&udid, &headers) {
        return leased(&held);
    }
    let udid = own_udid(&context, &udid);
    if let Err(wrong) = check_identifier(&udid) {
        // No record can have that name, whatever phone it is.
        return not_a_udid(&format!("the UDID in the path is none: {wrong}"));
    }
    match context.fleet.unpair(&udid).await {
        Ok(removed) => json(StatusCode::OK, &Unpaired { schema: "iosmux-tunneld/unpaired/1", udid, removed }),
        Err(error) => failed(&context, &error),
    }
}

/// Makes a tunnel if there is none, and answers once it can be used.
#[utoipa::path(post, path = "/devices/{udid}/tunnel", tag = "tunnels", params(("udid" = String, Path)), responses(
    (status = 200, body = Started),
    (status = 400, body = Failure, description = "The UDID is none"),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
    (status = 404, body = Failure, description = "No such phone is here"),
    (status = 502, body = Failure, description = "It ended elsewhere than at a tunnel"),
    (status = 503, body = Failure, description = "The daemon is shutting down"),
))]
pub(super) async fn start(Shared(context): Here, Udid(udid): Udid) -> Response {
    let tunnel = context.fleet.start(&udid).await;
    started(&context, &udid, tunnel)
}

/// Takes a tunnel down, until somebody starts it or the phone is attached again.
#[utoipa::path(delete, path = "/devices/{udid}/tunnel", tag = "tunnels",
    params(("udid" = String, Path), ("x-iosmux-lease" = Option<String>, Header, description = "The token of a lease")),
    responses(
        (status = 200, body = Stopped),
        (status = 400, body = Failure, description = "The UDID is none"),
        (status = 403, body = Failure, description = "A web page or a stranger asks"),
        (status = 404, body = Failure, description = "No such phone is here"),
        (status = 409, body = Failure, description = "Somebody else has a lease"),
        (status = 503, body = Failure, description = "The daemon is shutting down"),
    ))]
pub(super) async fn stop(Shared(context): Here, Udid(udid): Udid, headers: HeaderMap) -> Response {
    if let Some(held) = context.held_by_other(&udid, &headers) {
        return leased(&held);
    }
    match context.fleet.stop(&udid).await {
        Ok(stopped) => {
            let udid = own_udid(&context, &udid);
            json(StatusCode::OK, &Stopped { schema: "iosmux-tunneld/stopped/1", udid, stopped })
        }
        Err(error) => failed(&context, &error),
    }
}

/// Looks for phones again everywhere, and tries again at once what waits.
#[utoipa::path(post, path = "/refresh", tag = "devices", responses(
    (status = 200, body = Refreshed),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
    (status = 503, body = Failure, description = "The daemon is shutting down"),
))]
pub(super) async fn refresh(Shared(context): Here) -> Response {
    match context.fleet.refresh().await {
        Ok(()) => json(StatusCode::OK, &Refreshed { schema: "iosmux-tunneld/refreshed/1", refreshed: true }),
        Err(error) => failed(&context, &error),
    }
}
