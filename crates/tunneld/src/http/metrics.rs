//! What Prometheus reads, in its text format.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use iosmux_tunnel::packet::{Counters, Drop};
use tokio::time::timeout;

use super::answer::bytes;
use super::context::{BRIDGES, CONNECTIONS, Context, STREAMS};
use super::guard::Refusal;
use crate::model::{Counters as TunnelCounters, Device, Snapshot};

/// Source: Prometheus, exposition formats.
const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long the fleet may take for its counters; the rest is told without them.
const PATIENCE: Duration = Duration::from_secs(1);

/// `/metrics`, where Prometheus looks when nobody says otherwise.
pub(super) fn router(context: Arc<Context>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(context)
}

async fn metrics(Shared(context): Shared<Arc<Context>>) -> Response {
    answer(&context).await
}

/// Everything that is counted.
pub(super) async fn answer(context: &Context) -> Response {
    let counters = timeout(PATIENCE, context.fleet.counters()).await;
    let counters = counters.ok().and_then(Result::ok).unwrap_or_default();
    let mut page = Page::default();
    devices(&mut page, &context.fleet.snapshot(), Instant::now());
    tunnels(&mut page, &counters);
    registry(&mut page, context);
    process(&mut page);
    bytes(StatusCode::OK, Some(TYPE), page.0)
}

/// The page as it grows.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    /// A metric and all of its values.
    fn metric<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl IntoIterator<Item = (Vec<(&'static str, String)>, V)>,
    ) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP iosmux_{name} {help}\n# TYPE iosmux_{name} {kind}");
        for (labels, value) in values {
            let _ = write!(self.0, "iosmux_{name}");
            for (index, (label, text)) in labels.iter().enumerate() {
                let _ = write!(self.0, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
            }
            let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help, [(Vec::new(), value)]);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn devices(page: &mut Page, snapshot: &Snapshot, now: Instant) {
    let all = &snapshot.devices;
    let udid = |device: &Device| ("udid", device.identity.udid.clone());
    let each = |value: fn(&Device) -> u64| all.iter().map(move |device| (vec![udid(device)], value(device)));
    page.one("snapshot_revision", "gauge", "Rises with every change of any phone.", snapshot.revision);
    let states = all.iter().map(|device| (vec![udid(device), ("state", device.state.name().to_owned())], 1));
    page.metric("device_state", "gauge", "1 for the state that a phone is in.", states);
    let since = all
        .iter()
        .map(|device| (vec![udid(device)], now.saturating_duration_since(device.since).as_secs_f64()));
    page.metric("device_state_seconds", "gauge", "For how long it is in that state.", since);
    page.metric(
        "device_generation",
        "gauge",
        "Attachments of a phone so far.",
        each(|device| device.generation),
    );
    page.metric("device_failures", "gauge", "Failures in a row.", each(|device| u64::from(device.failures)));
    page.metric(
        "device_services",
        "gauge",
        "Services inside of the tunnel.",
        each(|device| {
            device.catalogue.as_ref().map_or(0, |catalogue| catalogue.services.iter().count() as u64)
        }),
    );
    let hops = all.iter().flat_map(|device| {
        let times = &device.times;
        let hops = [
            ("rsd", times.rsd),
            ("pair", times.pair),
            ("tunnel", times.tunnel),
            ("catalogue", times.catalogue),
            ("total", times.total),
        ];
        hops.into_iter().filter_map(move |(hop, time)| {
            Some((vec![udid(device), ("hop", hop.to_owned())], time?.as_secs_f64()))
        })
    });
    page.metric("device_hop_seconds", "gauge", "How long the hops to the present tunnel took.", hops);
    page.one("unidentified", "gauge", "Addresses whose phone is not known.", snapshot.unidentified.len());
    let searches = snapshot.searches.iter();
    let searches =
        searches.map(|search| (vec![("interface", search.interface.clone())], u8::from(search.usable)));
    page.metric(
        "search_usable",
        "gauge",
        "Interfaces on which phones are looked for: 1 when that is possible.",
        searches,
    );
}

fn tunnels(page: &mut Page, counters: &[(String, TunnelCounters)]) {
    let ways =
        |counters: &TunnelCounters| [("to-phone", counters.outbound), ("from-phone", counters.inbound)];
    let each = |value: fn(&Counters) -> u64| {
        counters.iter().flat_map(move |(udid, counters)| {
            ways(counters).map(|(way, counters)| {
                (vec![("udid", udid.clone()), ("direction", way.to_owned())], value(&counters))
            })
        })
    };
    page.metric(
        "tunnel_packets_total",
        "counter",
        "Packets through a tunnel.",
        each(|counters| counters.packets),
    );
    page.metric("tunnel_bytes_total", "counter", "Their bytes.", each(|counters| counters.bytes));
    page.metric(
        "tunnel_refused_total",
        "counter",
        "Packets that the interface or the transport would not take.",
        each(|counters| counters.refused),
    );
    let dropped = counters.iter().flat_map(|(udid, counters)| {
        ways(counters).into_iter().flat_map(move |(way, counters)| {
            Drop::ALL.map(|reason| {
                let labels = [("udid", udid.as_str()), ("direction", way), ("reason", reason.name())];
                (labels.map(|(label, text)| (label, text.to_owned())).to_vec(), counters.dropped(reason))
            })
        })
    });
    page.metric("tunnel_dropped_total", "counter", "Packets that may not pass, by reason.", dropped);
}

fn registry(page: &mut Page, context: &Context) {
    let counts = &context.counts;
    let total = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    page.one("http_requests_total", "counter", "Requests on all faces.", total(&counts.requests));
    page.one("http_connections_total", "counter", "Connections on all faces.", total(&counts.connections));
    page.one(
        "http_turned_away_total",
        "counter",
        "Connections that were one too many.",
        total(&counts.turned_away),
    );
    let refused =
        Refusal::ALL.map(|reason| (vec![("reason", reason.name().to_owned())], counts.refused(reason)));
    page.metric("http_refused_total", "counter", "Requests that nobody may make, by reason.", refused);
    let open = [
        ("connection", CONNECTIONS, &context.connections),
        ("bridge", BRIDGES, &context.bridges),
        ("event-stream", STREAMS, &context.streams),
    ];
    let open = open.map(|(what, all, left)| {
        (vec![("what", what.to_owned())], all.saturating_sub(left.available_permits()))
    });
    page.metric("http_open", "gauge", "What is open now.", open);
    page.one("leases", "gauge", "Leases that have not ended.", context.leases().all(context.now()).len());
    page.one("uptime_seconds", "gauge", "Since the registry began.", context.now().as_secs_f64());
}

/// What this process takes; absent where the system does not tell cheaply.
fn process(page: &mut Page) {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    page.one("process_tasks", "gauge", "Asynchronous tasks.", tasks);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    if let Some(kibibytes) = field("VmRSS:") {
        page.one("process_resident_bytes", "gauge", "Memory in use.", kibibytes.saturating_mul(1024));
    }
    if let Some(threads) = field("Threads:") {
        page.one("process_threads", "gauge", "Threads.", threads);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The folder itself is one of them.
        page.one("process_open_fds", "gauge", "Open files and sockets.", open.count().saturating_sub(1));
    }
}
