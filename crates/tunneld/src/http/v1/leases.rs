//! Leases over HTTP.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::Lease;
use super::{Here, Udid, leased, unknown};
use crate::http::answer::{Failure, error, json};
use crate::http::context::token;
use crate::http::lease::{LEASES, LONGEST, OWNER, Refused, Wish};

/// The longest body, in bytes, and how long it may take.
const BODY: usize = 4 << 10;
const BODY_TIME: Duration = Duration::from_secs(10);

/// What somebody wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Who, in words that others understand. At most 128 bytes.
    #[schema(example = "ci job 4711")]
    owner: String,
    /// For how long. At most a day; it can be renewed.
    #[schema(example = 600)]
    seconds: u64,
}

/// A lease and its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Granted {
    /// `iosmux-tunneld/lease/1`.
    schema: &'static str,
    lease: Lease,
    /// What to show in the header `x-iosmux-lease`.
    token: String,
}

/// A lease that ended early.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Released {
    /// `iosmux-tunneld/released/1`.
    schema: &'static str,
    lease: Lease,
}

/// All leases.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Leases {
    /// `iosmux-tunneld/leases/1`.
    schema: &'static str,
    leases: Vec<Lease>,
}

/// Claims a phone for a while: without the token nobody stops its tunnel or unpairs it. With the token it is renewed.
#[utoipa::path(post, path = "/devices/{udid}/lease", tag = "leases", request_body = Wanted,
    params(("udid" = String, Path), ("x-iosmux-lease" = Option<String>, Header, description = "The token, to renew it")),
    responses(
        (status = 200, body = Granted),
        (status = 400, body = Failure, description = "No such lease can be given, or the UDID is none"),
        (status = 403, body = Failure, description = "A web page or a stranger asks"),
        (status = 404, body = Failure, description = "No such phone is here"),
        (status = 408, body = Failure, description = "The body does not come in time"),
        (status = 409, body = Failure, description = "Somebody else has a lease"),
        (status = 413, body = Failure, description = "The body is too long"),
        (status = 503, body = Failure, description = "There are too many leases"),
    ))]
pub(super) async fn grant(
    Shared(context): Here,
    Udid(udid): Udid,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let wanted: Wanted = match read(body).await {
        Ok(wanted) => wanted,
        Err(response) => return *response,
    };
    let snapshot = context.fleet.snapshot();
    let Some(device) = snapshot.device(&udid) else { return unknown(&udid) };
    let wish = Wish {
        udid: &device.identity.udid,
        owner: &wanted.owner,
        length: Duration::from_secs(wanted.seconds),
        shown: token(&headers),
        fresh: Uuid::new_v4().simple().to_string(),
    };
    let granted = context.leases().grant(context.now(), wish);
    match granted {
        Ok((held, token)) => json(
            StatusCode::OK,
            &Granted { schema: "iosmux-tunneld/lease/1", lease: Lease::new(held), token },
        ),
        Err(refused) => not_granted(&refused),
    }
}

/// Ends a lease early.
#[utoipa::path(delete, path = "/devices/{udid}/lease", tag = "leases",
    params(("udid" = String, Path), ("x-iosmux-lease" = String, Header, description = "The token")),
    responses(
        (status = 200, body = Released),
        (status = 400, body = Failure, description = "The UDID is none"),
        (status = 403, body = Failure, description = "A web page or a stranger asks"),
        (status = 404, body = Failure, description = "There is no lease"),
        (status = 409, body = Failure, description = "It is somebody else's"),
    ))]
pub(super) async fn release(Shared(context): Here, Udid(udid): Udid, headers: HeaderMap) -> Response {
    let released = context.leases().release(context.now(), &udid, token(&headers));
    match released {
        Ok(held) => {
            json(StatusCode::OK, &Released { schema: "iosmux-tunneld/released/1", lease: Lease::new(held) })
        }
        Err(refused) => not_granted(&refused),
    }
}

/// Who claims which phone.
#[utoipa::path(get, path = "/leases", tag = "leases", responses(
    (status = 200, body = Leases),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn list(Shared(context): Here) -> Response {
    let leases = context.leases().all(context.now()).into_iter().map(Lease::new).collect();
    json(StatusCode::OK, &Leases { schema: "iosmux-tunneld/leases/1", leases })
}

async fn read(body: Body) -> Result<Wanted, Box<Response>> {
    let next = r#"send JSON such as {"owner": "ci job 4711", "seconds": 600}"#;
    let wrong = |status, code, message: &str| Box::new(error(status, code, message, Some(next)));
    let body = timeout(BODY_TIME, to_bytes(body, BODY)).await;
    let body =
        body.map_err(|_| wrong(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body did not come in time"))?;
    let body = body.map_err(|_| wrong(StatusCode::PAYLOAD_TOO_LARGE, "long-body", "the body is too long"))?;
    serde_json::from_slice(&body).map_err(|reason| {
        wrong(StatusCode::BAD_REQUEST, "body", &format!("the body is no wish for a lease: {reason}"))
    })
}

fn not_granted(refused: &Refused) -> Response {
    let (status, code, message, next) = match refused {
        Refused::Held(held) => return leased(held),
        Refused::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-leases",
            format!("there are {LEASES} leases already"),
            "wait until one ends: GET /v1/leases lists them",
        ),
        Refused::Owner => (
            StatusCode::BAD_REQUEST,
            "owner",
            format!("the owner's name is empty or longer than {OWNER} bytes"),
            "say in a few words who you are",
        ),
        Refused::Length => (
            StatusCode::BAD_REQUEST,
            "seconds",
            format!("a lease lasts 1 to {} seconds", LONGEST.as_secs()),
            "ask for less, and renew it",
        ),
        Refused::NoSuchLease => (
            StatusCode::NOT_FOUND,
            "no-lease",
            "nobody has a lease on this phone".to_owned(),
            "nothing has to be done: it may have ended by itself",
        ),
    };
    error(status, code, &message, Some(next))
}
