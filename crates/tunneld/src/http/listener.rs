//! Connections: accepted, bounded in number and time, judged request by request, and ended.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::context::Context;
use super::guard::{Hosts, Peer};
use super::unix::Socket;
use super::{GRACE, Stop};

/// How long a client may take for the head of a request, the wait for its first byte included.
const HEAD: Duration = Duration::from_secs(30);
/// The head of a request, in bytes.
const HEAD_BYTES: usize = 16 << 10;
/// Header fields of a request.
const HEADERS: usize = 64;
/// Before the next attempt when no connection can be accepted: file descriptors are out, usually.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What answers on a listener.
#[derive(Debug, Clone)]
pub(super) struct Face {
    router: TowerToHyperService<Router>,
    hosts: Arc<Hosts>,
    context: Arc<Context>,
}

impl Face {
    pub(super) fn new(router: Router, hosts: Hosts, context: Arc<Context>) -> Self {
        Self { router: TowerToHyperService::new(router), hosts: Arc::new(hosts), context }
    }

    /// Judges a request, and answers it.
    async fn answer(self, peer: Peer, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let counts = &self.context.counts;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(refusal) = self.hosts.judge(&peer, request.uri(), request.headers()) {
            counts.refuse(refusal);
            // They are counted for all to see; a page could fill a log.
            tracing::debug!(
                reason = refusal.name(),
                path = request.uri().path(),
                ?peer,
                "a request was refused"
            );
            return Ok(refusal.response());
        }
        request.extensions_mut().insert(peer);
        self.router.call(request).await
    }
}

/// Serves a listener until `stop`.
pub(super) async fn serve_tcp(listener: TcpListener, face: Face, mut stop: Stop) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, remote)) = accepted_or_wait(accepted).await else { continue };
        let Ok(local) = stream.local_addr() else { continue };
        // Answers are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let peer = Peer::Tcp { local, remote };
        connections.spawn(serve(stream, peer, face.clone(), stop.clone()));
    }
    drop(listener);
    finish(connections).await;
}

/// Serves the socket until `stop`.
pub(super) async fn serve_unix(socket: Socket, face: Face, mut stop: Stop) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, peer)) = accepted_or_wait(accepted).await else { continue };
        connections.spawn(serve(stream, peer, face.clone(), stop.clone()));
    }
    drop(socket);
    finish(connections).await;
}

async fn accepted_or_wait<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection to the registry can't be accepted");
            sleep(ACCEPT_AGAIN).await;
            None
        }
    }
}

async fn finish(mut connections: JoinSet<()>) {
    let all = async { while connections.join_next().await.is_some() {} };
    // Whoever takes longer is cut off when the set is dropped.
    let _ = timeout(GRACE, all).await;
}

/// Serves one connection to its end.
async fn serve<S>(stream: S, peer: Peer, face: Face, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let context = Arc::clone(&face.context);
    let Ok(_permit) = context.connections.try_acquire() else {
        context.counts.turned_away.fetch_add(1, Ordering::Relaxed);
        return;
    };
    context.counts.connections.fetch_add(1, Ordering::Relaxed);
    let service = service_fn(move |request| face.clone().answer(peer.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the registry ended early");
    }
}
