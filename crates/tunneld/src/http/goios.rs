//! go-ios' agent: what its clients ask on port 60105.
//!
//! Source: protocol.md §6; platform.md, Peers; go-ios, ios/tunnel/tunnel_api.go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::answer::bytes;
use super::context::Context;
use super::pymobiledevice3::leased;
use crate::fleet::CommandError;
use crate::model::{Device, same_udid};

const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

/// A tunnel, as go-ios describes it. Ours are interfaces of the kernel.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    address: String,
    rsd_port: u16,
    udid: &'a str,
    userspace_tun: bool,
    userspace_tun_port: u16,
}

impl<'a> Listed<'a> {
    fn of(device: &'a Device) -> Option<Self> {
        let tunnel = device.tunnel.as_ref().filter(|_| device.state.is_usable())?;
        Some(Self {
            address: tunnel.address.to_string(),
            rsd_port: tunnel.rsd_port,
            udid: &device.identity.udid,
            userspace_tun: false,
            userspace_tun_port: 0,
        })
    }
}

/// Phones whose stopped tunnel a question brings back.
const STOPPED: usize = 64;
/// For how long: `ios tunnel refresh` stops a tunnel and then asks for the next one, twice a second.
const BROUGHT_BACK: Duration = Duration::from_secs(60);

/// The face: what all share, and whose tunnel was stopped here lately.
///
/// go-ios' own agent makes such a tunnel again by itself, and its clients rely on that.
#[derive(Debug)]
struct Agent {
    context: Arc<Context>,
    stopped: Mutex<Vec<(String, Instant)>>,
}

impl Agent {
    fn stopped(&self) -> MutexGuard<'_, Vec<(String, Instant)>> {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.retain(|(_, at)| at.elapsed() < BROUGHT_BACK);
        stopped
    }

    fn remember(&self, udid: &str) {
        let mut stopped = self.stopped();
        if stopped.len() < STOPPED {
            stopped.push((udid.to_owned(), Instant::now()));
        }
    }

    /// Brings a tunnel back that was stopped here; the client asks again.
    fn bring_back(&self, udid: &str) {
        let mut stopped = self.stopped();
        let Some(place) = stopped.iter().position(|(known, _)| same_udid(known, udid)) else { return };
        let (udid, _) = stopped.swap_remove(place);
        let fleet = self.context.fleet.clone();
        tokio::spawn(async move {
            if let Err(error) = fleet.start(&udid).await {
                tracing::info!(%error, "a tunnel that a client of go-ios wants again did not come");
            }
        });
    }
}

/// The face, for every path.
pub(super) fn router(context: Arc<Context>) -> Router {
    Router::new().fallback(any).with_state(Arc::new(Agent { context, stopped: Mutex::default() }))
}

async fn any(Shared(agent): Shared<Arc<Agent>>, request: Request) -> Response {
    let context = &agent.context;
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    match path.as_str() {
        "/health" | "/ready" => bytes(StatusCode::OK, None, ""),
        "/shutdown" => {
            tracing::info!("a client of go-ios asked for the end");
            context.stop();
            bytes(StatusCode::OK, TEXT, "shutting down in 1 second...")
        }
        "/tunnels" => {
            let snapshot = context.fleet.snapshot();
            line(&snapshot.devices.iter().filter_map(Listed::of).collect::<Vec<_>>())
        }
        other => match other.strip_prefix("/tunnel/") {
            // Nothing is asked for.
            Some("") => bytes(StatusCode::OK, None, ""),
            Some(udid) => one(&agent, request.method(), udid, request.headers()).await,
            None => bytes(StatusCode::NOT_FOUND, TEXT, "404 page not found\n"),
        },
    }
}

async fn one(agent: &Agent, method: &Method, udid: &str, headers: &HeaderMap) -> Response {
    let context = &agent.context;
    let snapshot = context.fleet.snapshot();
    let device = snapshot.devices.iter().find(|device| same_udid(&device.identity.udid, udid));
    let Some(listed) = device.and_then(Listed::of) else {
        agent.bring_back(udid);
        return bytes(StatusCode::NOT_FOUND, TEXT, "\n");
    };
    match *method {
        Method::GET => line(&listed),
        Method::DELETE => {
            if let Some(held) = context.held_by_other(udid, headers) {
                return leased(&held);
            }
            match context.fleet.stop(udid).await {
                Ok(_) => {
                    agent.remember(udid);
                    bytes(StatusCode::NO_CONTENT, None, "")
                }
                Err(CommandError::UnknownDevice(_)) => bytes(StatusCode::NOT_FOUND, TEXT, "\n"),
                Err(error) => bytes(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            }
        }
        _ => bytes(StatusCode::OK, None, ""),
    }
}

/// JSON as Go's encoder writes it: with a newline behind it.
fn line(value: &impl Serialize) -> Response {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    bytes(StatusCode::OK, JSON, body)
}
