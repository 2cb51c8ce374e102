//! What happens to phones, as it happens: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Here;
use crate::http::answer::{Failure, error};
use crate::http::context::{Context, STREAMS};
use crate::http::journal::Next;
use crate::http::query::Query;
use crate::model::{Happening, same_udid};

/// A quiet stream says something that often: whoever hears nothing for longer has lost the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The data of an event named `state`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StateEvent<'a> {
    /// `iosmux-tunneld/event/1`.
    schema: &'static str,
    /// Counts up while the daemon runs.
    number: u64,
    /// The phone's UDID, or its address while that is not known.
    device: &'a str,
    generation: u64,
    /// The state that it came to.
    state: &'static str,
    reason: Option<&'a str>,
    next_step: Option<&'a str>,
}

/// The data of an event named `missed`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MissedEvent {
    /// `iosmux-tunneld/missed/1`.
    schema: &'static str,
    /// How many happenings are not known any more: GET /v1/devices tells where everything is.
    missed: u64,
}

/// What happens to phones from now on, or since `Last-Event-ID`, as events `state` and `missed`.
#[utoipa::path(get, path = "/events", tag = "events",
    params(
        ("udid" = Option<String>, Query, description = "Only this phone's"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that is known"),
    ),
    responses(
        (status = 200, content((StateEvent = "text/event-stream"), (MissedEvent = "text/event-stream"))),
        (status = 403, body = Failure, description = "A web page or a stranger asks"),
        (status = 503, body = Failure, description = "There are too many streams"),
    ))]
pub(super) async fn stream(Shared(context): Here, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some(place) = Place::take(&context, query.as_deref(), &headers) else {
        let message = format!("{STREAMS} streams of events are open already");
        return error(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-streams",
            &message,
            Some("close another one"),
        );
    };
    Sse::new(place.events())
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"))
        .into_response()
}

/// A stream's place among the happenings. Nothing waits here for who does not read.
struct Place {
    context: Arc<Context>,
    at: u64,
    only: Option<String>,
    newest: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
}

impl Place {
    fn take(context: &Arc<Context>, query: Option<&str>, headers: &HeaderMap) -> Option<Self> {
        // Given back when this is dropped.
        context.streams.try_acquire().ok()?.forget();
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        Some(Self {
            context: Arc::clone(context),
            at: context.journal.place(last),
            only: Query::parse(query).get("udid").map(str::to_owned),
            newest: context.journal.watch(),
            stop: context.stopped(),
        })
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut place| async move {
            let event = place.next().await?;
            Some((Ok(event), place))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            self.newest.mark_unchanged();
            while let Some((next, behind)) = self.context.journal.next(self.at) {
                self.at = behind;
                match next {
                    Next::Missed(missed) => return Some(self.event("missed", &missed_event(missed))),
                    Next::Happened(happening) if self.wants(&happening) => {
                        return Some(self.event("state", &state_event(&happening)));
                    }
                    Next::Happened(_) => {}
                }
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
        }
    }

    fn wants(&self, happening: &Happening) -> bool {
        self.only.as_ref().is_none_or(|only| same_udid(only, &happening.device))
    }

    fn event(&self, name: &str, data: &impl Serialize) -> Event {
        let data = serde_json::to_string(data).unwrap_or_default();
        Event::default().event(name).id(self.context.journal.id(self.at)).data(data)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.context.streams.add_permits(1);
    }
}

fn missed_event(missed: u64) -> MissedEvent {
    MissedEvent { schema: "iosmux-tunneld/missed/1", missed }
}

fn state_event(happening: &Happening) -> StateEvent<'_> {
    let reason = happening.reason.as_ref();
    StateEvent {
        schema: "iosmux-tunneld/event/1",
        number: happening.number,
        device: &happening.device,
        generation: happening.generation,
        state: happening.state.name(),
        reason: reason.map(|reason| reason.text.as_str()),
        next_step: reason.and_then(|reason| reason.next_step.as_deref()),
    }
}
