//! One NCM function: its class requests, its blocks both ways, its notifications.

use std::collections::VecDeque;

use iosmux_usb::Setup;
use iosmux_usb::ncm::{
    Alignment, GET_CRC_MODE, GET_MAX_DATAGRAM_SIZE, GET_NTB_FORMAT, GET_NTB_INPUT_SIZE, GET_NTB_PARAMETERS,
    MIN_NTB_SIZE, Notification, NtbParameters, SET_CRC_MODE, SET_ETHERNET_PACKET_FILTER,
    SET_MAX_DATAGRAM_SIZE, SET_NTB_FORMAT, SET_NTB_INPUT_SIZE,
};
use iosmux_usb::ntb::{Decoder, Encoder, Layout, MAX_DATAGRAM, Ntb, PushError};

use super::{Stall, Traffic};
use crate::usb::descriptors::{BULK_PACKET, PRIVATE, PRIVATE_BULK, STATUS_IN, TETHERING, TETHERING_BULK};

/// Frames that wait in one direction at most; a frame more is dropped. The bound is our own.
const QUEUE: usize = 256;
/// Bytes of an Ethernet frame at most, in the number that a request carries.
const MAX_SEGMENT: u16 = 1514;
/// Source: NCM 1.0 §3.3.4, with what working hosts send (protocol.md §1.6).
const ALIGNMENT: Alignment = Alignment { divisor: 4, remainder: 0, ndp: 4 };
/// Inferred (docs/research/gaps.md).
const PARAMETERS: NtbParameters = NtbParameters {
    formats: 1,
    in_max_size: 32_768,
    in_alignment: ALIGNMENT,
    out_max_size: 16_384,
    out_alignment: ALIGNMENT,
    out_max_datagrams: 16,
};
/// Bits per second, both ways. Inferred; high speed's own.
const SPEED: u32 = 480_000_000;

/// The block to the host.
#[derive(Debug, Default)]
struct Sending {
    block: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// Whether a packet of no bytes must end it yet.
    zero_length_packet: bool,
}

impl Sending {
    /// The next part for a buffer of `max` bytes; `None` when the block has ended.
    fn part(&mut self, max: usize) -> Option<Vec<u8>> {
        if self.sent >= self.block.len() {
            return std::mem::take(&mut self.zero_length_packet).then(Vec::new);
        }
        let end = self.sent.saturating_add(max).min(self.block.len());
        let part = self.block.get(self.sent..end)?.to_vec();
        self.sent = end;
        // In a buffer with room left the packet of no bytes has come with the part.
        self.zero_length_packet &= part.len() == max;
        Some(part)
    }
}

/// An NCM function and what waits in it.
#[derive(Debug)]
pub(super) struct Function {
    control: u8,
    status_in: Option<u8>,
    bulk_out: u8,
    bulk_in: u8,
    /// Whether frames go anywhere.
    carries: bool,
    open: bool,
    input_size: u32,
    max_datagram: u16,
    encoder: Encoder,
    decoder: Decoder,
    /// The transfer from the host that has not ended.
    partial: Vec<u8>,
    sending: Sending,
    to_host: VecDeque<Vec<u8>>,
    from_host: VecDeque<Vec<u8>>,
    notifications: VecDeque<Vec<u8>>,
    traffic: Traffic,
}

impl Function {
    /// The public one, which carries nothing here.
    pub(super) fn tethering() -> Function {
        Function::new(TETHERING[0], Some(STATUS_IN), TETHERING_BULK)
    }

    /// The one that carries RSD.
    pub(super) fn private() -> Function {
        Function { carries: true, ..Function::new(PRIVATE[0], None, PRIVATE_BULK) }
    }

    fn new(control: u8, status_in: Option<u8>, [bulk_out, bulk_in]: [u8; 2]) -> Function {
        Function {
            control,
            status_in,
            bulk_out,
            bulk_in,
            carries: false,
            open: false,
            input_size: PARAMETERS.in_max_size,
            max_datagram: MAX_SEGMENT,
            encoder: encoder(PARAMETERS.in_max_size),
            decoder: decoder(),
            partial: Vec::new(),
            sending: Sending::default(),
            to_host: VecDeque::new(),
            from_host: VecDeque::new(),
            notifications: VecDeque::new(),
            traffic: Traffic::default(),
        }
    }

    pub(super) fn bulk_out(&self) -> u8 {
        self.bulk_out
    }

    pub(super) fn bulk_in(&self) -> u8 {
        self.bulk_in
    }

    pub(super) fn status_in(&self) -> Option<u8> {
        self.status_in
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// As it is after the configuration is set.
    pub(super) fn reset(&mut self) {
        self.set_open(false);
    }

    /// The data interface has an alternate setting anew; the one without endpoints forgets what hosts have set.
    /// Source: NCM 1.0 §7.2.
    pub(super) fn set_open(&mut self, open: bool) {
        if !open {
            self.input_size = PARAMETERS.in_max_size;
            self.max_datagram = MAX_SEGMENT;
        }
        self.open = open;
        self.encoder = encoder(self.input_size);
        self.decoder = decoder();
        self.partial.clear();
        self.sending = Sending::default();
        self.to_host.clear();
        self.from_host.clear();
        self.notifications.clear();
        if open && self.status_in.is_some() {
            // The speed comes first. Source: NCM 1.0 §7.1.
            for one in [Notification::Speed { down: SPEED, up: SPEED }, Notification::Connection { up: true }]
            {
                self.notifications.push_back(one.to_bytes(self.control));
            }
        }
    }

    /// A class request. Source: NCM 1.0 table 6-1.
    pub(super) fn request(&mut self, setup: Setup, data: &[u8]) -> Result<Vec<u8>, Stall> {
        match (setup.is_in(), setup.request) {
            (true, GET_NTB_PARAMETERS) => Ok(PARAMETERS.to_bytes()),
            (true, GET_NTB_INPUT_SIZE) => Ok(self.input_size.to_le_bytes().to_vec()),
            (false, SET_NTB_INPUT_SIZE) => {
                let size = u32::from_le_bytes(data.try_into().map_err(|_| Stall)?);
                if !(MIN_NTB_SIZE..=PARAMETERS.in_max_size).contains(&size) {
                    return Err(Stall);
                }
                self.input_size = size;
                self.encoder = encoder(size);
                Ok(Vec::new())
            }
            (true, GET_MAX_DATAGRAM_SIZE) => Ok(self.max_datagram.to_le_bytes().to_vec()),
            (false, SET_MAX_DATAGRAM_SIZE) => {
                let size = u16::from_le_bytes(data.try_into().map_err(|_| Stall)?);
                self.max_datagram = size.min(MAX_SEGMENT);
                Ok(Vec::new())
            }
            (true, GET_NTB_FORMAT | GET_CRC_MODE) => Ok(vec![0, 0]),
            // NTB16 and no CRC only, and only while no frames flow. Source: NCM 1.0 §6.2.5, §6.2.11.
            (false, SET_NTB_FORMAT | SET_CRC_MODE) if setup.value == 0 && !self.open => Ok(Vec::new()),
            (false, SET_ETHERNET_PACKET_FILTER) => Ok(Vec::new()),
            _ => Err(Stall),
        }
    }

    /// A transfer from the host, or a part of one.
    pub(super) fn take_block(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let full = usize::try_from(PARAMETERS.out_max_size).unwrap_or(usize::MAX);
        let ended = bytes.is_empty() || !bytes.len().is_multiple_of(usize::from(BULK_PACKET));
        if !ended && self.partial.len() < full {
            return;
        }
        let block = std::mem::take(&mut self.partial);
        // Behind a block of full length a packet of no bytes may come all the same.
        if block.is_empty() {
            return;
        }
        let (gaps, skipped) = (self.decoder.gaps(), self.decoder.skipped());
        match self.decoder.decode(&block) {
            Ok(frames) => {
                for frame in frames {
                    self.traffic.from_host += 1;
                    if !self.carries {
                        continue;
                    }
                    if self.from_host.len() >= QUEUE {
                        self.traffic.dropped += 1;
                    } else {
                        self.from_host.push_back(frame.to_vec());
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a block from the host is none");
                self.traffic.bad_blocks += 1;
            }
        }
        self.traffic.bad_blocks += self.decoder.gaps() - gaps;
        self.traffic.dropped += self.decoder.skipped() - skipped;
    }

    /// At most `max` bytes of the next block to the host, or of the rest of the last one.
    pub(super) fn block(&mut self, max: usize) -> Option<Vec<u8>> {
        if let Some(rest) = self.sending.part(max) {
            return Some(rest);
        }
        while let Some(frame) = self.to_host.front() {
            match self.encoder.push(frame) {
                Ok(()) => self.traffic.to_host += 1,
                Err(PushError::Full(_)) => break,
                Err(_) => self.traffic.dropped += 1,
            }
            self.to_host.pop_front();
        }
        let Ntb { bytes, zero_length_packet } = self.encoder.finish()?;
        self.sending = Sending { block: bytes.to_vec(), sent: 0, zero_length_packet };
        self.sending.part(max)
    }

    /// At most `max` bytes of the next notification, or of the rest of the last one.
    pub(super) fn notification(&mut self, max: usize) -> Option<Vec<u8>> {
        let mut part = self.notifications.pop_front()?;
        let rest = part.split_off(max.min(part.len()));
        if !rest.is_empty() {
            self.notifications.push_front(rest);
        }
        Some(part)
    }

    /// Whether another frame to the host has room; while nobody listens it needs none.
    pub(super) fn has_room(&self) -> bool {
        !self.open || self.to_host.len() < QUEUE
    }

    /// A frame to the host.
    pub(super) fn send(&mut self, frame: &[u8]) {
        if !self.open || self.to_host.len() >= QUEUE || frame.len() > usize::from(self.max_datagram) {
            self.traffic.dropped += 1;
        } else {
            self.to_host.push_back(frame.to_vec());
        }
    }

    /// The next frame from the host.
    pub(super) fn take_frame(&mut self) -> Option<Vec<u8>> {
        self.from_host.pop_front()
    }
}

fn encoder(input_size: u32) -> Encoder {
    debug_assert_eq!(usize::from(MAX_SEGMENT), MAX_DATAGRAM);
    Encoder::new(Layout::to_host(&PARAMETERS, input_size, BULK_PACKET))
}

fn decoder() -> Decoder {
    Decoder::new(usize::try_from(PARAMETERS.out_max_size).unwrap_or_default())
}
