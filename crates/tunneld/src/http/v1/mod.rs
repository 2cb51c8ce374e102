//! Our own face: everything that is known of phones, and everything that can be asked. Described by itself in OpenAPI.

mod about;
mod devices;
mod events;
mod leases;
mod model;
mod tunnels;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State as Shared};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use super::context::Context;
use super::lease::Held;
use crate::fleet::CommandError;

/// What the description begins with.
#[derive(OpenApi)]
#[openapi(info(
    title = "iosmux-tunneld",
    description = "Phones, their tunnels, and what they wait for. Requests with Origin, Referer, a cross-site Sec-Fetch-Site or a \
                   foreign Host get 403."
))]
struct Description;

/// Every route with its description: whatever is not described is not served.
fn described() -> OpenApiRouter<Arc<Context>> {
    OpenApiRouter::new()
        .routes(routes!(devices::list))
        .routes(routes!(devices::one))
        .routes(routes!(devices::catalogue))
        .routes(routes!(tunnels::pair, tunnels::unpair))
        .routes(routes!(tunnels::start, tunnels::stop))
        .routes(routes!(leases::grant, leases::release))
        .routes(routes!(leases::list))
        .routes(routes!(tunnels::refresh))
        .routes(routes!(events::stream))
        .routes(routes!(about::searches))
        .routes(routes!(about::unidentified))
        .routes(routes!(about::version))
        .routes(routes!(about::metrics))
        .routes(routes!(about::description))
}

/// The description, with the paths as clients write them.
fn description() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(Description::openapi()).nest("/v1", described()).into_openapi()
}

/// The face below `/v1`.
pub(super) fn router(context: Arc<Context>) -> Router {
    let (router, _) = described().split_for_parts();
    router.fallback(nowhere).method_not_allowed_fallback(wrong_method).with_state(context)
}

async fn nowhere() -> Response {
    let next = "see /v1/openapi.json for what there is";
    answer::error(StatusCode::NOT_FOUND, "no-such-path", "there is nothing at this path", Some(next))
}

async fn wrong_method(method: Method) -> Response {
    let message = format!("this path does not take {method}");
    let next = "see the header Allow, and /v1/openapi.json";
    answer::error(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", &message, Some(next))
}

fn unknown(udid: &str) -> Response {
    let message = CommandError::UnknownDevice(udid.to_owned()).to_string();
    let next = "GET /v1/devices lists all; GET /v1/unidentified those that do not say who they are";
    answer::error(StatusCode::NOT_FOUND, "unknown-device", &message, Some(next))
}

fn leased(held: &Held) -> Response {
    super::pymobiledevice3::leased(held)
}

/// What a command of the fleet ended with instead.
fn failed(context: &Context, error: &CommandError) -> Response {
    let (status, code, next) = match error {
        CommandError::UnknownDevice(udid) => return unknown(udid),
        CommandError::Failed { udid, .. } => {
            let snapshot = context.fleet.snapshot();
            let reason = snapshot.device(udid).and_then(|device| device.reason.clone());
            (StatusCode::BAD_GATEWAY, "no-tunnel", reason.and_then(|reason| reason.next_step))
        }
        CommandError::Record { .. } => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "pair-record",
            Some("see who owns the state directory, and whether its disk is full".to_owned()),
        ),
        CommandError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting-down", None),
    };
    answer::error(status, code, &error.to_string(), next.as_deref())
}

/// The state of every handler here.
type Here = Shared<Arc<Context>>;

/// The UDID of a path.
struct Udid(String);

impl<S: Send + Sync> FromRequestParts<S> for Udid {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(udid) = Path::from_request_parts(parts, state).await.map_err(|_: PathRejection| {
            let next = "GET /v1/devices lists all phones with their UDIDs";
            answer::error(StatusCode::BAD_REQUEST, "udid", "the UDID in the path is no text", Some(next))
        })?;
        Ok(Self(udid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_description_holds_every_route_of_the_face() {
        let described = serde_json::to_value(description()).unwrap();
        assert_eq!(described["openapi"], "3.1.0");
        let paths = described["paths"].as_object().unwrap();
        let methods = |(path, item): (&String, &serde_json::Value)| {
            let methods: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
            (path.clone(), methods.join(" "))
        };
        let all: BTreeMap<_, _> = paths.iter().map(methods).collect();
        insta::assert_json_snapshot!(all);
    }

    #[test]
    fn every_operation_says_what_it_does_and_answers() {
        let described = serde_json::to_value(description()).unwrap();
        for (path, item) in described["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let summary = operation["summary"].as_str().unwrap_or_default();
                assert!(!summary.is_empty(), "{method} {path} has no summary");
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
                assert!(responses.contains_key("403"), "{method} {path} does not say 403");
            }
        }
    }
}
