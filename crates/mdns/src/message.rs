//! What a message says: questions and the records DNS-SD is made of.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::name::{Name, label_text};

/// A query or a response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Zero in multicast messages; a unicast answer repeats the query's. Source: RFC 6762 §18.1.
    pub id: u16,
    /// True for a response.
    pub response: bool,
    /// Known answers continue in the next message (queries only). Source: RFC 6762 §18.5.
    pub truncated: bool,
    /// The question section.
    pub questions: Vec<Question>,
    /// The answer section; in a query the known answers.
    pub answers: Vec<Record>,
    /// The authority section; in a probe the records that are about to be claimed.
    pub authorities: Vec<Record>,
    /// The additional section.
    pub additionals: Vec<Record>,
    /// Questions and records read past because no part of DNS-SD over IPv6 uses their type or class (decoding only).
    pub skipped: usize,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub kind: Kind,
    /// The QU bit: a unicast answer is preferred. Source: RFC 6762 §5.4.
    pub unicast: bool,
}

/// One resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The owner.
    pub name: Name,
    /// Time to live in seconds; zero is a goodbye. Source: RFC 6762 §10.1.
    pub ttl: u32,
    /// The cache-flush bit: these records replace all others of the name and type. Source: RFC 6762 §10.2.
    pub flush: bool,
    /// The content.
    pub data: Data,
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name: for DNS-SD an instance or a type.
    Ptr(Name),
    /// Where a service is.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// UDP or TCP port.
        port: u16,
        /// Host name.
        target: Name,
    },
    /// Strings of 1 to 255 bytes; none stands for the single zero byte. Source: RFC 6763 §6.1.
    Txt(Vec<Vec<u8>>),
}

/// A record type in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Pointer.
    Ptr,
    /// Service location.
    Srv,
    /// Text.
    Txt,
    /// Every type.
    Any,
    /// A type by number.
    Other(u16),
}

impl Kind {
    /// True when a record of type `kind` answers a question of this type.
    pub fn covers(self, kind: Kind) -> bool {
        self == Kind::Any || self == kind
    }
}

impl From<u16> for Kind {
    fn from(value: u16) -> Self {
        match value {
            1 => Self::A,
            12 => Self::Ptr,
            16 => Self::Txt,
            28 => Self::Aaaa,
            33 => Self::Srv,
            255 => Self::Any,
            other => Self::Other(other),
        }
    }
}

impl From<Kind> for u16 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::A => 1,
            Kind::Ptr => 12,
            Kind::Txt => 16,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
            Kind::Any => 255,
            Kind::Other(other) => other,
        }
    }
}

impl Data {
    /// The type of this content.
    pub fn kind(&self) -> Kind {
        match self {
            Data::A(_) => Kind::A,
            Data::Aaaa(_) => Kind::Aaaa,
            Data::Ptr(_) => Kind::Ptr,
            Data::Srv { .. } => Kind::Srv,
            Data::Txt(_) => Kind::Txt,
        }
    }

    /// Length on the wire without compression, in bytes.
    fn wire_len(&self) -> usize {
        match self {
            Data::A(_) => 4,
            Data::Aaaa(_) => 16,
            Data::Ptr(name) => name.wire_len(),
            Data::Srv { target, .. } => target.wire_len().saturating_add(6),
            Data::Txt(strings) => txt_len(strings).max(1),
        }
    }
}

/// Length of TXT strings with their length bytes.
pub(crate) fn txt_len(strings: &[Vec<u8>]) -> usize {
    strings.iter().fold(0, |sum, string| sum.saturating_add(string.len()).saturating_add(1))
}

impl Question {
    /// A question whose answer may be multicast.
    pub fn new(name: Name, kind: Kind) -> Self {
        Self { name, kind, unicast: false }
    }

    /// An upper bound of the bytes it takes.
    pub fn wire_len(&self) -> usize {
        self.name.wire_len().saturating_add(4)
    }
}

impl Record {
    /// An upper bound of the bytes it takes.
    pub fn wire_len(&self) -> usize {
        self.name.wire_len().saturating_add(10).saturating_add(self.data.wire_len())
    }

    /// True when both say the same about the same name, whatever their TTL and cache-flush bit.
    pub fn says_the_same(&self, other: &Record) -> bool {
        self.name == other.name && self.data == other.data
    }
}

impl Message {
    /// An upper bound of the bytes it takes.
    pub fn wire_len(&self) -> usize {
        let questions = self.questions.iter().map(Question::wire_len);
        let records =
            self.answers.iter().chain(&self.authorities).chain(&self.additionals).map(Record::wire_len);
        questions.chain(records).fold(12, usize::saturating_add)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::A => f.write_str("A"),
            Kind::Aaaa => f.write_str("AAAA"),
            Kind::Ptr => f.write_str("PTR"),
            Kind::Srv => f.write_str("SRV"),
            Kind::Txt => f.write_str("TXT"),
            Kind::Any => f.write_str("ANY"),
            Kind::Other(number) => write!(f, "TYPE{number}"),
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(address) => address.fmt(f),
            Data::Aaaa(address) => address.fmt(f),
            Data::Ptr(name) => name.fmt(f),
            Data::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Data::Txt(strings) => {
                f.write_str("[")?;
                for (index, string) in strings.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}\"{}\"", label_text(string))?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.name, self.kind, if self.unicast { " QU" } else { "" })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flush = if self.flush { " flush" } else { "" };
        write!(f, "{} {}{flush} {} {}", self.name, self.ttl, self.data.kind(), self.data)
    }
}

impl fmt::Display for Message {
    /// One line for the header and one for each entry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.response { "response" } else { "query" };
        let more = if self.truncated { " truncated" } else { "" };
        write!(f, "{what} id {:#06x}{more}", self.id)?;
        self.questions.iter().try_for_each(|question| write!(f, "\n  question   {question}"))?;
        self.answers.iter().try_for_each(|record| write!(f, "\n  answer     {record}"))?;
        self.authorities.iter().try_for_each(|record| write!(f, "\n  authority  {record}"))?;
        self.additionals.iter().try_for_each(|record| write!(f, "\n  additional {record}"))
    }
}
