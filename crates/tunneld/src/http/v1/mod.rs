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
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::Path as _;
use utoipa_axum::PathItemExt;

use super::answer;
use super::context::Context;
use super::lease::Held;
use crate::fleet::CommandError;

/// Each route, once: `$with` makes of it what is served and what is described.
macro_rules! every_route {
    ($with:ident) => {
        $with!(
            devices::list,
            devices::one,
            devices::catalogue,
            tunnels::pair,
            tunnels::unpair,
            tunnels::start,
            tunnels::stop,
            leases::grant,
            leases::release,
            leases::list,
            tunnels::refresh,
            events::stream,
            about::searches,
            about::unidentified,
            about::version,
            about::metrics,
            about::description,
        )
    };
}

/// The routes at the paths and with the methods of their descriptions: whatever is not described is not served.
macro_rules! served {
    ($($module:ident::$handler:ident,)+) => {
        utoipa_axum::paste! {
            Router::new()$(.route(
                &$module::[<__path_ $handler>]::path(),
                methods::<$module::[<__path_ $handler>]>().map_or_else(MethodRouter::new, |methods| on(methods, $module::$handler)),
            ))+
        }
    };
}

/// What all of it looks like to clients, in OpenAPI. A test writes it from the routes and sees that it is theirs: made here at
/// each start it would be a good part of the daemon's memory.
const DESCRIPTION: &str = include_str!("snapshots/iosmux_tunneld__http__v1__tests__description.snap.json");

/// The face below `/v1`.
pub(super) fn router(context: Arc<Context>) -> Router {
    let router: Router<Arc<Context>> = every_route!(served);
    router.fallback(nowhere).method_not_allowed_fallback(wrong_method).with_state(context)
}

/// The methods of a description.
fn methods<P: utoipa::Path>() -> Option<MethodFilter> {
    P::methods().iter().map(PathItemExt::to_method_filter).reduce(MethodFilter::or)
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
        let udid = Path::from_request_parts(parts, state).await;
        let Path(udid) = udid.map_err(|_: PathRejection| not_a_udid("the UDID in the path is no text"))?;
        Ok(Self(udid))
    }
}

fn not_a_udid(message: &str) -> Response {
    let next = "GET /v1/devices lists all phones with their UDIDs";
    answer::error(StatusCode::BAD_REQUEST, "udid", message, Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use utoipa::OpenApi;
    use utoipa_axum::router::OpenApiRouter;
    use utoipa_axum::routes;

    /// What the description begins with.
    #[derive(OpenApi)]
    #[openapi(info(
        title = "iosmux-tunneld",
        description = "Phones, their tunnels, and what they wait for. Requests with Origin, Referer, a cross-site Sec-Fetch-Site \
                       or a foreign Host get 403."
    ))]
    struct Description;

    macro_rules! described {
        ($($module:ident::$handler:ident,)+) => { OpenApiRouter::new()$(.routes(routes!($module::$handler)))+ };
    }

    /// The description, with the paths as clients write them.
    fn description() -> utoipa::openapi::OpenApi {
        let described: OpenApiRouter<Arc<Context>> = every_route!(described);
        OpenApiRouter::with_openapi(Description::openapi()).nest("/v1", described).into_openapi()
    }

    #[test]
    fn clients_get_the_description_of_these_routes() {
        let made = description().to_pretty_json().unwrap();
        insta::assert_binary_snapshot!("description.json", made.into_bytes());
    }

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
