//! pymobiledevice3's tunneld, as its clients and idevice's know it: status, type and body of every answer are what version 11.45 sends.
//!
//! Source: protocol.md §6; platform.md, Peers; what the live server answers (tests/peers_registry.rs).

mod connect;
mod invalid;
mod python;
mod relay;
mod upstream;
mod url;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::header::{ALLOW, HOST, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::answer::{self, bytes};
use super::context::Context;
use super::lease::Held;
use super::query::Query;
use crate::fleet::CommandError;
use crate::model::{Device, State, Tunnel};
use invalid::Invalid;
use python::dumps;

pub(crate) use upstream::UPSTREAMS;
pub(super) use upstream::Upstreams;
pub(crate) use url::normalize;

const JSON: Option<&str> = Some("application/json");

/// One path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    List,
    Hello,
    Shutdown,
    Clear,
    Cancel,
    Start,
    Upstream,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::List,
            "/hello" => Self::Hello,
            "/shutdown" => Self::Shutdown,
            "/clear_tunnels" => Self::Clear,
            "/cancel" => Self::Cancel,
            "/start-tunnel" => Self::Start,
            "/upstream" => Self::Upstream,
            _ => return None,
        })
    }
}

/// The face, for every path.
pub(super) fn router(context: Arc<Context>) -> Router {
    Router::new().fallback(any).with_state(context)
}

async fn any(Shared(context): Shared<Arc<Context>>, request: Request) -> Response {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    if connect::is_upgrade(request.headers()) {
        return connect::open(context, &path, request);
    }
    let Some(route) = Route::of(&path) else { return elsewhere(&path, request.uri(), request.headers()) };
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let answered = match (route, &parts.method) {
        (Route::List, &Method::GET) => list(&context, &parts).await,
        (Route::Hello, &Method::GET) => Ok(said(&json!({"message": "Hello, I'm alive"}))),
        (Route::Shutdown, &Method::GET) => Ok(shutdown(&context)),
        (Route::Clear, &Method::GET) => Ok(clear(&context, &parts.headers).await),
        (Route::Cancel, &Method::GET) => cancel(&context, &query, &parts.headers).await,
        (Route::Start, &Method::GET) => start(&context, &query).await,
        (Route::Upstream, &Method::GET) => Ok(answer::json(StatusCode::OK, &context.upstreams.list())),
        (Route::Upstream, method @ (&Method::POST | &Method::DELETE)) => {
            upstream::change(&context.upstreams, method, &parts.headers, body).await
        }
        _ => Ok(wrong_method()),
    };
    answered.unwrap_or_else(Invalid::response)
}

/// An answer that is made with `json.dumps`.
fn said(value: &Value) -> Response {
    bytes(StatusCode::OK, JSON, dumps(value))
}

/// A refusal that is made with `json.dumps`: those have no type.
fn refused(status: u16, value: &Value) -> Response {
    bytes(StatusCode::from_u16(status).unwrap_or_default(), None, dumps(value))
}

fn wrong_method() -> Response {
    let mut response = bytes(StatusCode::METHOD_NOT_ALLOWED, JSON, r#"{"detail":"Method Not Allowed"}"#);
    // Only the first route of a path is named, for /upstream as well.
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

/// A path that is none: with a slash too many it is elsewhere, else nowhere.
fn elsewhere(path: &str, uri: &Uri, headers: &HeaderMap) -> Response {
    let bare = path.trim_end_matches('/');
    let target = (bare != path && Route::of(bare).is_some()).then(|| {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        HeaderValue::try_from(format!("http://{host}{bare}{query}")).ok()
    });
    let Some(Some(target)) = target else {
        return bytes(StatusCode::NOT_FOUND, JSON, r#"{"detail":"Not Found"}"#);
    };
    let mut response = bytes(StatusCode::TEMPORARY_REDIRECT, None, "");
    response.headers_mut().insert(LOCATION, target);
    response
}

/// The tunnel of a phone, when it can be used.
fn usable(device: &Device) -> Option<&Tunnel> {
    device.tunnel.as_ref().filter(|_| device.state.is_usable())
}

async fn list(context: &Context, parts: &Parts) -> Result<Response, Invalid> {
    let hops = invalid::hops(&parts.headers)?;
    let mut tunnels = Map::new();
    for device in &context.fleet.snapshot().devices {
        let (Some(tunnel), Some(link)) = (usable(device), &device.link) else { continue };
        let entry = json!({
            "tunnel-address": tunnel.address,
            "tunnel-port": tunnel.rsd_port,
            "interface": link.scoped(),
            "auxiliary-metadata": {},
            "origin": null,
        });
        tunnels.insert(device.identity.udid.clone(), json!([entry]));
    }
    context.upstreams.merge_into(&mut tunnels, hops).await;
    Ok(answer::json(StatusCode::OK, &tunnels))
}

fn shutdown(context: &Context) -> Response {
    tracing::info!("a client asked for the end");
    context.stop();
    said(&json!({"operation": "shutdown", "data": true, "message": "Server shutting down..."}))
}

async fn clear(context: &Context, headers: &HeaderMap) -> Response {
    if let Some(held) = context.any_held_by_other(headers) {
        return leased(&held);
    }
    // That the daemon is ending anyway is no other answer there either.
    let _ = context.fleet.cancel(None).await;
    said(&json!({"operation": "clear_tunnels", "data": true, "message": "Cleared tunnels..."}))
}

async fn cancel(context: &Context, query: &Query, headers: &HeaderMap) -> Result<Response, Invalid> {
    let udid = query.get("udid").ok_or(Invalid::Missing("query", "udid"))?;
    if let Some(held) = context.held_by_other(udid, headers) {
        return Ok(leased(&held));
    }
    // An unknown phone is answered in the same way. As with the live server, the tunnel comes back by itself.
    let _ = context.fleet.cancel(Some(udid)).await;
    let message = format!("tunnel {udid} Canceled ...");
    Ok(said(&json!({"operation": "cancel", "udid": udid, "data": true, "message": message})))
}

async fn start(context: &Context, query: &Query) -> Result<Response, Invalid> {
    let udid = query.get("udid").ok_or(Invalid::Missing("query", "udid"))?;
    let snapshot = context.fleet.snapshot();
    let device = snapshot.device(udid);
    if let Some(tunnel) = device.and_then(usable) {
        return Ok(started(tunnel));
    }
    let not_created = || refused(501, &json!({"error": "task not created"}));
    // The ways over usbmuxd and Wi-Fi are not ours.
    let our_way = query.get("connection_type").is_none_or(|way| way == "usb");
    let link = device.and_then(|device| device.link.as_ref());
    let right_place = query.get("ip").is_none_or(|ip| link.is_some_and(|link| link.scoped() == ip));
    if !our_way || !right_place {
        return Ok(not_created());
    }
    Ok(match context.fleet.start(udid).await {
        Ok(tunnel) => started(&tunnel),
        Err(CommandError::UnknownDevice(_)) => not_created(),
        Err(error) => match context.fleet.snapshot().device(udid).map(|device| device.state) {
            Some(State::Unsupported) => not_created(),
            // It came as far as the tunnel itself.
            Some(State::Down | State::Gone | State::Listening) => {
                refused(404, &json!({"error": "something went wrong during tunnel creation"}))
            }
            _ => refused(
                501,
                &json!({"error": {"exception": "TunnelNotStarted", "traceback": error.to_string()}}),
            ),
        },
    })
}

fn started(tunnel: &Tunnel) -> Response {
    said(&json!({
        "interface": tunnel.interface,
        "port": tunnel.rsd_port,
        "address": tunnel.address,
        "auxiliary-metadata": {},
    }))
}

/// What whoever has no lease gets on a phone that somebody else has.
pub(super) fn leased(held: &Held) -> Response {
    let (owner, seconds) = (&held.owner, held.left.as_secs());
    let message = format!("{} is leased by {owner} for {seconds} s more", held.udid);
    let next = "wait, ask its owner, or show the lease's token in the header x-iosmux-lease";
    answer::error(StatusCode::CONFLICT, "leased", &message, Some(next))
}
