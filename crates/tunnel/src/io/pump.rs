//! The pump of stream transports: packets of a device into a link, one write each; bytes of the link, read in large
//! pieces, back into packets.
//!
//! There is no queue of our own. At most one packet waits for the link, and while it does none is taken from the device:
//! its network stack then knows that the way is full, and slows its senders down.

use super::device::PacketDevice;
use super::error::TunnelError;
use super::link::Link;
use super::tunnel::{Ended, Options, Shared};
use crate::framer::{Framer, OutOfStep, Place};
use crate::packet::{Counters, Drop, PacketFilter};
use crate::parameters::{Parameters, Role};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Packets, or reads, of one direction before the other has its turn.
const TURN: usize = 32;

/// Bytes read from the link before the device gets them, at most; one packet more fits. With the usual MTU that is eight
/// packets, which the device can take as two runs.
const READ_LEN: usize = 112 * 1024;

/// After a burst of more bytes than this towards the phone, [`Options::end_of_burst`] sends an empty packet.
/// Source: protocol.md §5.10.
const BURST: u64 = 8192;

/// Both directions of one tunnel, as one state machine for one task.
pub(crate) struct Pump<L, D> {
    link: L,
    device: D,
    outbound: PacketFilter,
    inbound: PacketFilter,
    out: Counters,
    back: Counters,
    /// The packet on its way to the link: the first `waiting` bytes.
    packet: Box<[u8]>,
    waiting: usize,
    /// Bytes sent since the device last had nothing to send.
    burst: u64,
    framer: Framer,
    /// Where in the framer the packets are that the device gets next.
    admitted: Vec<Range<usize>>,
    options: Options,
    shared: Arc<Shared>,
}

impl<L: Link, D: PacketDevice> Pump<L, D> {
    pub(crate) fn new(
        link: L,
        device: D,
        parameters: &Parameters,
        role: Role,
        options: Options,
        shared: Arc<Shared>,
    ) -> Self {
        let (outbound, inbound) = (parameters.outbound_filter(role), parameters.inbound_filter(role));
        // One byte more than the MTU, so that a packet too long is seen to be too long.
        let packet = vec![0; outbound.max_packet().saturating_add(1)].into_boxed_slice();
        let framer = Framer::new(inbound.max_packet(), READ_LEN);
        let (out, back) = (Counters::default(), Counters::default());
        Self {
            link,
            device,
            outbound,
            inbound,
            out,
            back,
            packet,
            waiting: 0,
            burst: 0,
            framer,
            admitted: Vec::new(),
            options,
            shared,
        }
    }

    /// Moves the link and the device into the current runtime.
    pub(crate) fn attach(&mut self) -> Result<(), TunnelError> {
        self.link.attach().map_err(|source| TunnelError::Connection { during: "relay", source })?;
        self.device.attach().map_err(|source| TunnelError::Device { source })
    }

    /// Moves packets until neither way can go on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ended, TunnelError>> {
        let end = loop {
            let out = self.poll_out(cx)?;
            let back = self.poll_back(cx)?;
            match (out, back) {
                (Poll::Ready(Some(end)), _) | (_, Poll::Ready(Some(end))) => break Poll::Ready(Ok(end)),
                // The runtime makes both pending after a while, so that others, such as a stop, are seen.
                (Poll::Pending, Poll::Pending) => break Poll::Pending,
                _ => {}
            }
        };
        self.shared.publish(&self.out, &self.back);
        end
    }

    /// Tells the peer, if nothing is half written.
    pub(crate) fn close(&mut self) {
        self.shared.publish(&self.out, &self.back);
        if self.waiting == 0 {
            self.link.close();
        }
    }

    /// Device to link: pending when either can't, ready with nothing when its turn is over.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Ended>>, TunnelError> {
        for _ in 0..TURN {
            if self.waiting == 0 {
                match self.device.poll_recv(cx, &mut self.packet) {
                    Poll::Pending => return self.poll_end_of_burst(cx),
                    Poll::Ready(Err(source)) => return Err(TunnelError::Device { source }),
                    Poll::Ready(Ok(0)) => return Ok(Poll::Ready(Some(Ended::DeviceClosed))),
                    Poll::Ready(Ok(count)) => {
                        let packet = self.packet.get(..count).unwrap_or_default();
                        if !self.out.admit(&self.outbound, packet) {
                            continue;
                        }
                        self.waiting = count;
                        self.burst = self.burst.saturating_add(u64::try_from(count).unwrap_or(0));
                    }
                }
            }
            let packet = self.packet.get(..self.waiting).unwrap_or_default();
            match self.link.poll_send(cx, packet) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(sent) => sent?,
            }
            self.waiting = 0;
        }
        Ok(Poll::Ready(None))
    }

    /// The device has nothing to send: ends the burst, if that was asked for and there was one.
    fn poll_end_of_burst(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Ended>>, TunnelError> {
        let burst = std::mem::take(&mut self.burst);
        if !self.options.end_of_burst || burst <= BURST {
            return Ok(Poll::Pending);
        }
        let empty = self.outbound.empty_packet();
        if let Some(space) = self.packet.get_mut(..empty.len()) {
            space.copy_from_slice(&empty);
        }
        self.waiting = empty.len();
        match self.link.poll_send(cx, &empty) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(sent) => sent?,
        }
        self.waiting = 0;
        Ok(Poll::Pending)
    }

    /// Link to device: pending when the link has nothing, ready with nothing when its turn is over.
    ///
    /// Packets go to the device together, once there is nothing more to read at this moment or no room for more.
    fn poll_back(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Ended>>, TunnelError> {
        for _ in 0..TURN {
            let read = self.link.poll_read(cx, self.framer.space());
            if let Poll::Ready(Ok(count @ 1..)) = read {
                self.framer.filled(count);
                if self.framer.has_room() {
                    continue;
                }
            }
            self.deliver()?;
            match read {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(0)) => return Ok(Poll::Ready(Some(Ended::PeerClosed))),
                Poll::Ready(count) => count?,
            };
        }
        self.deliver()?;
        Ok(Poll::Ready(None))
    }

    /// Hands every whole packet that has come to the device.
    fn deliver(&mut self) -> Result<(), TunnelError> {
        self.admitted.clear();
        let followed = self.admit_all();
        let Self { admitted, framer, device, .. } = self;
        if !admitted.is_empty() {
            let sent = device.send_all(&mut admitted.iter().map(|place| framer.bytes(place)));
            self.back.count_refusals(sent.map_err(|source| TunnelError::Device { source })?);
        }
        Ok(followed?)
    }

    /// Judges every whole packet that has come.
    fn admit_all(&mut self) -> Result<(), OutOfStep> {
        while let Some(place) = self.framer.next_place()? {
            match place {
                Place::TooLong { .. } => self.back.count_drop(Drop::TooLong),
                Place::Packet(place) => {
                    if self.back.admit(&self.inbound, self.framer.bytes(&place)) {
                        self.admitted.push(place);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod simulation_tests;
