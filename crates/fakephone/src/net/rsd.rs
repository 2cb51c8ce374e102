//! One RSD connection: the phone's side.

use std::sync::Arc;

use iosmux_xpc::io::{Error, Event};
use iosmux_xpc::rsd::{Handshake, Message, RsdError, key};
use iosmux_xpc::{Body, NotSourced, View, not_sourced};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::peers::{self, ConnectionId};
use super::shared::{Place, Shared};
use crate::fault::{Fault, FaultStream, Step};
use crate::identity::hide;
use crate::not_sourced::RSD_MESSAGE;

/// The name under which gaps of RSD itself are counted.
const RSD: &str = "rsd";

/// Serves an RSD connection until it ends; the peer's UUID goes to `peers` when the peer tells it.
pub(super) async fn serve(
    (id, step): (ConnectionId, Step),
    stream: TcpStream,
    place: Place,
    mut handshake: Handshake,
    phone: Arc<Shared>,
    peers: mpsc::Sender<peers::Event>,
) -> Result<(), Error> {
    if phone.hangs(step) {
        FaultStream::new(stream, &phone.faults).stay_silent().await;
        return Ok(());
    }
    if phone.faults.contains(&Fault::ZeroUuid) {
        handshake.uuid = Uuid::nil();
    }
    let (connection, mut events, _alive) = phone.remote_xpc(stream, place, &phone.faults);
    while let Some(event) = events.next().await {
        match event? {
            // An iPhone sends its Handshake once the client's INIT_HANDSHAKE has come. Source: protocol.md §4.1.
            Event::Opened => {
                if phone.hides(step) {
                    hide(&mut handshake);
                }
                connection.send(handshake.to_object()).await?;
            }
            Event::Message { id: message, wants_reply, body } => {
                if let Some(uuid) = peer_uuid(&body) {
                    // The attach outlives its connections; when it is gone this task is aborted.
                    let _ = peers.send(peers::Event::Introduced { connection: id, uuid }).await;
                    continue;
                }
                match answer(body.view(), wants_reply) {
                    Ok(Answer::Reply(reply)) => connection.reply(message, reply.to_object()).await?,
                    Ok(Answer::Nothing) => {}
                    Ok(Answer::Unknown(gap)) => phone.gaps.count(gap, RSD),
                    Err(error) => tracing::debug!(%error, "an RSD message was ignored"),
                }
            }
            Event::FileIncoming { .. } | Event::FileWanted { .. } => phone.gaps.count(RSD_MESSAGE, RSD),
        }
    }
    Ok(())
}

/// The UUID of a Handshake; the rest of it is nothing that `remoted` is known to act on, and clients leave keys out.
fn peer_uuid(body: &Body) -> Option<Uuid> {
    let message_type = body.view().get(key::MESSAGE_TYPE)?;
    body.view().get(key::UUID)?.as_uuid().filter(|_| message_type.as_str() == Some("Handshake"))
}

#[derive(Debug, PartialEq)]
enum Answer {
    Reply(Message),
    Nothing,
    Unknown(NotSourced),
}

/// What to say to a message. Source: protocol.md §4.1.
fn answer(body: View<'_>, wants_reply: bool) -> Result<Answer, RsdError> {
    Ok(match (Message::from_view(body)?, wants_reply) {
        (heartbeat @ Message::Heartbeat { .. }, true) => Answer::Reply(heartbeat),
        (Message::Reset, true) => Answer::Reply(Message::Result("Ok".to_owned())),
        // A Handshake without UUID; nothing is remembered. A Goodbye is followed by the end of the connection.
        (Message::Handshake(_) | Message::Goodbye, _) => Answer::Nothing,
        (Message::StartTls { .. }, _) => Answer::Unknown(not_sourced::RSD_START_TLS),
        _ => Answer::Unknown(RSD_MESSAGE),
    })
}

#[cfg(test)]
mod tests {
    use iosmux_xpc::{Limits, Object};

    use super::*;

    fn answer(object: &Object, wants_reply: bool) -> Result<Answer, RsdError> {
        super::answer(View::parse(&object.encode().unwrap(), &Limits::default()).unwrap(), wants_reply)
    }

    #[test]
    fn heartbeat_and_reset_are_answered() {
        let heartbeat = Message::Heartbeat { sequence_number: 7 };
        assert_eq!(answer(&heartbeat.to_object(), true), Ok(Answer::Reply(heartbeat)));
        let ok = Answer::Reply(Message::Result("Ok".to_owned()));
        assert_eq!(answer(&Message::Reset.to_object(), true), Ok(ok));
    }

    #[test]
    fn start_tls_and_the_unknown_are_counted_and_not_answered() {
        let start_tls = Message::StartTls { yes_no: true, tls_policy: 3 };
        assert_eq!(answer(&start_tls.to_object(), true), Ok(Answer::Unknown(not_sourced::RSD_START_TLS)));
        let unasked = Message::Heartbeat { sequence_number: 1 };
        assert_eq!(answer(&unasked.to_object(), false), Ok(Answer::Unknown(RSD_MESSAGE)));
        assert_eq!(answer(&Object::Null, true), Ok(Answer::Unknown(RSD_MESSAGE)));
        assert_eq!(answer(&Message::Goodbye.to_object(), false), Ok(Answer::Nothing));
    }
}
