//! The opening of a session: what a client says first, and how a server answers each step.
//!
//! Source: protocol.md §3.1; coredevice.md §2 (the frame plan that leaves CoreDeviceService quiet).

use bytes::Bytes;

use super::{
    Role,
    stream::{REPLY, ROOT},
};
use crate::message::{Flags, Message, Wrapper};

/// The first message of each side: an empty dictionary, flags 0x1, id 0.
/// Source: fixtures/xpc/empty_dictionary.bin (captured).
pub(super) const EMPTY_DICTIONARY: &[u8; 44] =
    b"\x92\x0b\xb0\x29\x01\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x42\x37\x13\x42\x05\x00\x00\x00\
    \x00\xf0\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00";

/// Flags of the wrapper that follows it on the root stream. Source: protocol.md §3.1 item 7.
const TERM: Flags = Flags::ALWAYS_SET.with(Flags::TERM);
/// Flags of the wrapper that opens the reply stream. Source: protocol.md §3.1 item 8.
const INIT: Flags = Flags::ALWAYS_SET.with(Flags::INIT_HANDSHAKE);

/// A step of the opening, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// SETTINGS, then the connection's WINDOW_UPDATE.
    Settings,
    Headers(u32),
    Data(u32, Bytes),
}

fn empty_dictionary() -> Step {
    Step::Data(ROOT, Bytes::from_static(EMPTY_DICTIONARY))
}

fn bare(stream: u32, flags: Flags) -> Step {
    Step::Data(stream, Bytes::copy_from_slice(&Wrapper { flags, body_length: 0, id: 0 }.encode()))
}

/// What a client sends, in Apple's order.
pub(super) fn client_steps() -> [Step; 6] {
    [
        Step::Settings,
        Step::Headers(ROOT),
        empty_dictionary(),
        Step::Headers(REPLY),
        bare(ROOT, TERM),
        bare(REPLY, INIT),
    ]
}

/// How far an opening has come.
#[derive(Debug, Default)]
pub(super) struct Opening {
    settings: bool,
    root_headers: bool,
    reply_headers: bool,
    empty: bool,
    term: bool,
    init: bool,
    done: bool,
}

impl Opening {
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn has_settings(&self) -> bool {
        self.settings
    }

    /// The peer's SETTINGS came; answers with ours where the peer goes first.
    pub(super) fn on_settings(&mut self, role: Role) -> Option<Step> {
        let first = !std::mem::replace(&mut self.settings, true);
        (first && role == Role::Server).then_some(Step::Settings)
    }

    /// The peer's HEADERS came; a server answers each stream once, never before the client
    /// (earlier, CoreDeviceService answers GOAWAY "invalid stream_id").
    pub(super) fn on_headers(&mut self, role: Role, stream: u32) -> Option<Step> {
        let seen = if stream == ROOT { &mut self.root_headers } else { &mut self.reply_headers };
        let first = !std::mem::replace(seen, true);
        (first && role == Role::Server).then_some(Step::Headers(stream))
    }

    /// Takes a message of the opening, in any of the four known orders.
    ///
    /// Answers `None` when the message is not part of it, else what a server sends back.
    pub(super) fn on_message(&mut self, role: Role, stream: u32, message: &Message) -> Option<Option<Step>> {
        let flags = message.flags;
        let (seen, answer) = if stream == REPLY && flags.contains(Flags::INIT_HANDSHAKE) {
            (&mut self.init, bare(REPLY, INIT))
        } else if stream == ROOT && flags.contains(Flags::TERM) && message.body.is_none() {
            (&mut self.term, bare(ROOT, TERM))
        } else if stream == ROOT && !flags.contains(Flags::DATA_PRESENT) && !flags.contains(Flags::REPLY) {
            (&mut self.empty, empty_dictionary())
        } else {
            return None;
        };
        let first = !std::mem::replace(seen, true);
        Some((first && role == Role::Server).then_some(answer))
    }

    /// A message beyond the opening shows a client that the peer answers.
    pub(super) fn on_traffic(&mut self, role: Role) {
        self.empty |= role == Role::Client;
    }

    /// Whether the opening became complete just now.
    ///
    /// A server waits for INIT_HANDSHAKE on stream 3 and for the 0x0201 wrapper, which two of the four orders send last: a Handshake between
    /// the answers is read by go-ios as one of them. A client needs only to see that the peer answers.
    pub(super) fn completes(&mut self, role: Role) -> bool {
        let complete = match role {
            Role::Server => self.settings && self.init && self.term,
            Role::Client => self.settings && (self.init || self.empty),
        };
        complete && !std::mem::replace(&mut self.done, true)
    }

    /// What the peer has not sent yet, for an error.
    pub(super) fn missing(&self, role: Role) -> &'static str {
        match role {
            _ if !self.settings => "SETTINGS",
            Role::Client => "the answer to our opening on stream 1 or 3",
            Role::Server if !self.init => "INIT_HANDSHAKE (0x00400001) on stream 3",
            Role::Server => "the 0x00000201 wrapper on stream 1",
        }
    }
}
