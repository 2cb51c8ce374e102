//! TCP segments that follow each other, as one packet for a device that can cut it again.
//!
//! The kernel takes each packet through its whole receive path, whatever its length. A [`Run`] is what its own receive
//! offload would have made of the segments: cutting it gives back exactly the same packets. Whatever would be lost
//! ends a run, or never begins one: other protocols, extension headers, an acknowledgement alone, any flag but ACK and
//! PSH, another window, option, hop limit, flow label or ECN mark.
//!
//! A run has no checksum that a wrong payload could fail, so a segment joins only when its own was right.
//!
//! Source: docs/research/tun-offload.md; RFC 9293 §3.1; RFC 8200 §3, §8.1.

use crate::packet::{HEADER_LEN, Header, MAX_PACKET};

/// Length of what the device reads before a packet, in bytes. Source: linux/virtio_net.h (struct virtio_net_hdr).
pub const DEVICE_HEADER_LEN: usize = 10;

/// What stands before a packet that is sent as it is.
pub const PLAIN: [u8; DEVICE_HEADER_LEN] = [0; DEVICE_HEADER_LEN];

/// The most segments of one run.
pub const MAX_SEGMENTS: usize = 64;

/// The longest run with its headers, in bytes.
const MAX_RUN: usize = MAX_PACKET - HEADER_LEN;

/// Source: IANA protocol numbers.
const TCP: u8 = 6;
const TCP_HEADER_LEN: usize = 20;
/// The longest headers of a segment, with 40 bytes of TCP options.
const MAX_HEADERS: usize = HEADER_LEN + 60;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Where fields are in a packet without extension headers.
mod at {
    pub(super) const PAYLOAD_LEN: usize = 4;
    pub(super) const ADDRESSES: usize = 8;
    pub(super) const SEQUENCE: usize = 44;
    pub(super) const TCP_LEN: usize = 52;
    pub(super) const FLAGS: usize = 53;
    pub(super) const CHECKSUM: usize = 56;
    /// Everything before, between and (from the last on) after the fields that differ within a run.
    pub(super) const SAME: [std::ops::Range<usize>; 4] =
        [0..PAYLOAD_LEN, 6..SEQUENCE, 48..FLAGS, 54..CHECKSUM];
    pub(super) const SAME_FROM: usize = 58;
}

/// Source: linux/virtio_net.h (VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6).
const NEEDS_CHECKSUM: u8 = 1;
const CUT_AS_TCP_IPV6: u8 = 4;

/// A segment that may be part of a run.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
    sequence: u32,
    push: bool,
}

impl<'a> Segment<'a> {
    /// The packet as a segment; `None` when it must go on as it is.
    pub fn of(packet: &'a [u8]) -> Option<Self> {
        let header = Header::of(packet)?;
        if header.version() != 6 || header.next_header() != TCP || header.packet_len() != packet.len() {
            return None;
        }
        let [length, flags] = field(packet, at::TCP_LEN)?;
        // The lower four bits are reserved, but for one of ECN.
        let words = usize::from(length >> 4);
        let tcp_len =
            words.checked_mul(4).filter(|tcp_len| *tcp_len >= TCP_HEADER_LEN && length & 0xf == 0)?;
        let (headers, payload) = packet.split_at_checked(HEADER_LEN.checked_add(tcp_len)?)?;
        let pure = flags & !PSH == ACK && !payload.is_empty();
        if !pure || !checksum_is_right(packet) {
            return None;
        }
        let sequence = u32::from_be_bytes(field(packet, at::SEQUENCE)?);
        Some(Self { headers, payload, sequence, push: flags & PSH != 0 })
    }

    /// What it carries; never empty.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Segments in a row. It holds their headers; the payloads stay where they are.
#[derive(Debug)]
pub struct Run {
    /// The device's header, then those of the first segment.
    space: [u8; DEVICE_HEADER_LEN + MAX_HEADERS],
    headers_len: usize,
    /// Bytes of payload of each segment but the last, which may have less.
    each: usize,
    payload: usize,
    segments: usize,
    next: u32,
    closed: bool,
}

impl Run {
    /// A run of one.
    pub fn of(first: &Segment<'_>) -> Self {
        let mut space = [0; DEVICE_HEADER_LEN + MAX_HEADERS];
        let headers = space.get_mut(DEVICE_HEADER_LEN..).unwrap_or_default();
        headers.iter_mut().zip(first.headers).for_each(|(to, from)| *to = *from);
        let each = first.payload.len();
        let (headers_len, next) = (first.headers.len(), after(first));
        Self { space, headers_len, each, payload: each, segments: 1, next, closed: first.push }
    }

    /// Takes a segment that goes on where the run ends; false, and nothing has changed, when it doesn't.
    pub fn join(&mut self, segment: &Segment<'_>) -> bool {
        let payload = self.payload.saturating_add(segment.payload.len());
        let fits = self.segments < MAX_SEGMENTS && payload.saturating_add(self.headers_len) <= MAX_RUN;
        let follows = segment.sequence == self.next && segment.payload.len() <= self.each;
        if self.closed || !fits || !follows || !self.same_headers(segment.headers) {
            return false;
        }
        self.payload = payload;
        self.segments = self.segments.saturating_add(1);
        self.next = after(segment);
        // A device that cuts a run leaves PSH to the last segment, and only that one may be short.
        self.closed = segment.push || segment.payload.len() < self.each;
        if let Some(flags) = self.headers_mut().get_mut(at::FLAGS).filter(|_| segment.push) {
            *flags |= PSH;
        }
        true
    }

    /// Segments in it.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// What the device is to read before the payloads: its own header and those of the whole run.
    pub fn headers(&mut self) -> &[u8] {
        let tcp_len = self.payload.saturating_add(self.headers_len).saturating_sub(HEADER_LEN);
        let tcp_len = u16::try_from(tcp_len).unwrap_or(u16::MAX);
        let headers = self.headers_mut();
        put(headers, at::PAYLOAD_LEN, tcp_len.to_be_bytes());
        let addresses = headers.get(at::ADDRESSES..HEADER_LEN).unwrap_or_default();
        let pseudo = fold(sum(addresses).wrapping_add(pseudo_tail(tcp_len)));
        put(headers, at::CHECKSUM, pseudo.to_ne_bytes());
        let cut = self.segments > 1;
        let [hdr_len, gso_size] = [self.headers_len, if cut { self.each } else { 0 }]
            .map(|length| u16::try_from(length).unwrap_or(0).to_ne_bytes());
        let [[start_a, start_b], [offset_a, offset_b]] =
            [HEADER_LEN, at::CHECKSUM.saturating_sub(HEADER_LEN)]
                .map(|length| u16::try_from(length).unwrap_or(0).to_ne_bytes());
        let kind = if cut { CUT_AS_TCP_IPV6 } else { 0 };
        let device = [
            NEEDS_CHECKSUM,
            kind,
            hdr_len[0],
            hdr_len[1],
            gso_size[0],
            gso_size[1],
            start_a,
            start_b,
            offset_a,
            offset_b,
        ];
        put(&mut self.space, 0, device);
        self.space.get(..DEVICE_HEADER_LEN.saturating_add(self.headers_len)).unwrap_or_default()
    }

    fn headers_mut(&mut self) -> &mut [u8] {
        self.space.get_mut(DEVICE_HEADER_LEN..).unwrap_or_default()
    }

    fn same_headers(&self, theirs: &[u8]) -> bool {
        let end = DEVICE_HEADER_LEN.saturating_add(self.headers_len);
        let ours = self.space.get(DEVICE_HEADER_LEN..end).unwrap_or_default();
        at::SAME.into_iter().all(|range| ours.get(range.clone()) == theirs.get(range))
            && ours.get(at::SAME_FROM..) == theirs.get(at::SAME_FROM..)
    }
}

/// The sequence number after a segment; it wraps.
fn after(segment: &Segment<'_>) -> u32 {
    segment.sequence.wrapping_add(u32::try_from(segment.payload.len()).unwrap_or(0))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(space) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *space = value;
    }
}

/// Whether a segment's checksum is right, and the one that a device would compute: of the two forms of zero it uses 0.
fn checksum_is_right(packet: &[u8]) -> bool {
    let (Some(covered), Some(own)) = (packet.get(at::ADDRESSES..), field(packet, at::CHECKSUM)) else {
        return false;
    };
    let tcp_len = u16::try_from(packet.len().saturating_sub(HEADER_LEN)).unwrap_or(0);
    own != [0xff; 2] && fold(sum(covered).wrapping_add(pseudo_tail(tcp_len))) == 0xffff
}

/// The rest of the pseudo-header, after its addresses. Source: RFC 8200 §8.1.
fn pseudo_tail(tcp_len: u16) -> u64 {
    let word = |value: u16| u64::from(u16::from_ne_bytes(value.to_be_bytes()));
    word(tcp_len).wrapping_add(word(u16::from(TCP)))
}

/// Adds up words of this machine's byte order, which gives the same bits as the network's. Source: RFC 1071 §2 (B).
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from(u32::from_ne_bytes(*word))));
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    whole.wrapping_add(u64::from(u32::from_ne_bytes(last)))
}

/// Ones' complement: carries come back at the lower end.
fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while let Some(carry) = Some(sum >> 16).filter(|carry| *carry > 0) {
        sum = (sum & 0xffff).wrapping_add(carry);
    }
    u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests;
