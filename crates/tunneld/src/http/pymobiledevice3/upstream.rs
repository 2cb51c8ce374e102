//! Other registries whose phones this one lists and relays to.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::error::Category;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::invalid::{HOPS_HEADER, Invalid};
use super::{refused, said, url};
use crate::model::same_udid;

/// Upstreams at once.
pub(crate) const UPSTREAMS: usize = 32;
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest list that is read, in bytes.
const LIST: usize = 1 << 20;
/// The longest body of a request, and how long it may take.
const BODY: usize = 16 << 10;
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long it is remembered which upstream has a phone: a session opens many connections.
const OWNED: Duration = Duration::from_secs(5);
/// Phones that this is remembered of.
const OWNERS: usize = 256;

/// Which upstream has a phone, and that tunnel of it where one is named, and until when that is believed.
type Owners = HashMap<(String, Option<String>), (Instant, String)>;

/// Other registries.
#[derive(Debug, Default)]
pub(in crate::http) struct Upstreams {
    urls: Mutex<BTreeSet<String>>,
    owners: Mutex<Owners>,
}

impl Upstreams {
    /// Those of the configuration.
    pub(in crate::http) fn new(urls: &[String]) -> Result<Self, String> {
        let urls = urls.iter().map(|given| url::normalize(given)).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(Self { urls: Mutex::new(urls), owners: Mutex::default() })
    }

    pub(super) fn list(&self) -> Vec<String> {
        self.urls().iter().cloned().collect()
    }

    fn urls(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the tunnels that upstreams list, each once, with where it was seen as its `origin`.
    pub(super) async fn merge_into(&self, tunnels: &mut Map<String, Value>, hops: i64) {
        for (url, listed) in self.ask_all(hops).await {
            for (udid, entries) in listed {
                let Value::Array(entries) = entries else { continue };
                let merged = tunnels.entry(udid).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(merged) = merged else { continue };
                for entry in entries {
                    let Value::Object(mut entry) = entry else { continue };
                    if merged.iter().all(|known| !is_same(known, &entry)) {
                        entry.insert("origin".to_owned(), Value::String(url.clone()));
                        merged.push(Value::Object(entry));
                    }
                }
            }
        }
    }

    /// The upstream that has a phone, and that tunnel of it where one is named.
    pub(super) async fn owner(&self, udid: &str, address: Option<&str>, hops: i64) -> Option<String> {
        let key = (udid.to_owned(), address.map(str::to_owned));
        let known = |until: &Instant| *until > Instant::now();
        if let Some((until, url)) = self.owners().get(&key)
            && known(until)
        {
            return Some(url.clone());
        }
        let has = |listed: &Map<String, Value>| {
            listed.iter().any(|(served, entries)| {
                let named = |entry: &Value| entry.get("tunnel-address").and_then(Value::as_str) == address;
                same_udid(served, udid)
                    && (address.is_none()
                        || entries.as_array().is_some_and(|entries| entries.iter().any(named)))
            })
        };
        let (url, _) = self.ask_all(hops).await.into_iter().find(|(_, listed)| has(listed))?;
        let mut owners = self.owners();
        owners.retain(|_, (until, _)| known(until));
        if owners.len() < OWNERS {
            owners.insert(key, (Instant::now() + OWNED, url.clone()));
        }
        Some(url)
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each lists that answers in time.
    async fn ask_all(&self, hops: i64) -> Vec<(String, Map<String, Value>)> {
        if hops <= 0 {
            return Vec::new();
        }
        let ask = async |url: String| match timeout(PATIENCE, fetch(&url, hops.saturating_sub(1))).await {
            Ok(Ok(listed)) => Some((url, listed)),
            Ok(Err(error)) => {
                tracing::debug!(url, error, "an upstream registry does not answer");
                None
            }
            Err(_) => {
                tracing::debug!(url, "an upstream registry does not answer in time");
                None
            }
        };
        let urls = self.list();
        join_all(urls.into_iter().map(ask)).await.into_iter().flatten().collect()
    }
}

/// Whether two entries are the same tunnel, seen on two ways.
fn is_same(known: &Value, entry: &Map<String, Value>) -> bool {
    ["tunnel-address", "tunnel-port", "interface"].iter().all(|name| known.get(name) == entry.get(*name))
}

/// The list of another registry.
async fn fetch(url: &str, hops: i64) -> Result<Map<String, Value>, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let (host, port) = url::parts(url).ok_or("no address")?;
    let stream = TcpStream::connect((host, port)).await.map_err(|error| words(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    // Dropped, and so ended, with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = hyper::Request::get("/")
        .header(HOST, url.trim_start_matches("http://"))
        .header(ACCEPT, "application/json")
        .header(HOPS_HEADER, hops)
        .body(Empty::<Bytes>::new())
        .map_err(|error| words(&error))?;
    let response = sender.send_request(request).await.map_err(|error| words(&error))?;
    if !response.status().is_success() {
        return Err(response.status().to_string());
    }
    let body = Limited::new(response.into_body(), LIST).collect().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| words(&error))
}

/// Adds or removes an upstream.
pub(super) async fn change(
    upstreams: &Upstreams,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Invalid> {
    let given = read_url(headers, body).await?;
    let normal = url::normalize(&given);
    if method == Method::DELETE {
        let mut urls = upstreams.urls();
        urls.remove(&given);
        if let Ok(normal) = normal {
            urls.remove(&normal);
        }
        return Ok(changed("remove_upstream", &given, "removed"));
    }
    let normal = match normal {
        Ok(normal) => normal,
        Err(sentence) => return Ok(refused(400, &json!({"error": sentence}))),
    };
    let mut urls = upstreams.urls();
    if urls.len() >= UPSTREAMS && !urls.contains(&normal) {
        let sentence = format!("there are {UPSTREAMS} upstreams already: remove one first");
        return Ok(refused(400, &json!({"error": sentence})));
    }
    urls.insert(normal.clone());
    Ok(changed("add_upstream", &normal, "added"))
}

fn changed(operation: &str, url: &str, done: &str) -> Response {
    let message = format!("upstream {url} {done}");
    said(&json!({"operation": operation, "url": url, "data": true, "message": message}))
}

/// The field `url` of a JSON body.
async fn read_url(headers: &HeaderMap, body: Body) -> Result<String, Invalid> {
    let missing = Invalid::Missing("body", "url");
    let body = timeout(BODY_TIME, to_bytes(body, BODY)).await;
    let body = body.map_err(|_| Invalid::Body(StatusCode::REQUEST_TIMEOUT))?;
    let body = body.map_err(|_| Invalid::Body(StatusCode::PAYLOAD_TOO_LARGE))?;
    if body.is_empty() || !is_json(headers) {
        return Err(missing);
    }
    let text = std::str::from_utf8(&body).map_err(|_| Invalid::Body(StatusCode::BAD_REQUEST))?;
    let value: Value = serde_json::from_str(text).map_err(|error| place(&error, text))?;
    match value.get("url") {
        None => Err(missing),
        Some(Value::String(url)) => Ok(url.clone()),
        Some(other) => Err(Invalid::Text("url", other.clone())),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(name)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let name = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(kind) = name.strip_prefix("application/") else { return false };
    kind == "json" || kind.ends_with("+json")
}

/// Where and why a text is no JSON, as near to Python's words as what came before that place tells.
fn place(error: &serde_json::Error, text: &str) -> Invalid {
    let before: usize =
        text.split('\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum();
    // What is read before an end is all there, else the last letter is the wrong one.
    let last = usize::from(error.classify() != Category::Eof);
    let at = (before + error.column()).saturating_sub(last);
    let read = text.get(..at).unwrap_or_default().trim_end();
    let why = match read.chars().next_back() {
        _ if error.to_string().starts_with("trailing characters") => "Extra data",
        Some('{' | ',') => "Expecting property name enclosed in double quotes",
        None | Some(':' | '[') => "Expecting value",
        Some('"') if is_first_key(read) => "Expecting ':' delimiter",
        Some(_) => "Expecting ',' delimiter",
    };
    Invalid::Json(at, why)
}

/// Whether what was read ends with the first key of an object.
fn is_first_key(read: &str) -> bool {
    let open = read.strip_suffix('"').and_then(|read| read.rsplit_once('"'));
    open.is_some_and(|(before, _)| before.trim_end().ends_with('{'))
}
