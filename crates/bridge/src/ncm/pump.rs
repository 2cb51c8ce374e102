//! Frames both ways between blocks and an interface. No I/O of its own: what it needs is in [`super::transfer`].

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use iosmux_usb::ntb::{Decoder, Encoder, Layout, MAX_DATAGRAM, PushError};

use super::transfer::{BulkIn, BulkOut, Frames, TransferFailure};
use crate::ports::Counters;

/// Blocks each way before others get their turn.
const TURN: usize = 32;
/// One byte longer than a frame may be: a longer one is seen as such.
const FRAME: usize = MAX_DATAGRAM + 1;

/// Why frames are carried no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    /// USB ended.
    #[error(transparent)]
    Transfer(#[from] TransferFailure),
    /// The interface ended: somebody deleted it, for instance.
    #[error("the interface has ended: {0}")]
    Interface(#[from] io::Error),
}

/// What was carried, as others may read it meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rx_frames: AtomicU64,
    rx_bytes: AtomicU64,
    tx_frames: AtomicU64,
    tx_bytes: AtomicU64,
    errors: AtomicU64,
}

impl Tally {
    pub(crate) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            rx_frames: read(&self.rx_frames),
            rx_bytes: read(&self.rx_bytes),
            tx_frames: read(&self.tx_frames),
            tx_bytes: read(&self.tx_bytes),
            errors: read(&self.errors),
        }
    }

    fn count(frames: &AtomicU64, bytes: &AtomicU64, length: usize) {
        frames.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(length as u64, Ordering::Relaxed);
    }

    fn error(&self) {
        self.lost(1);
    }

    fn lost(&self, count: u64) {
        self.errors.fetch_add(count, Ordering::Relaxed);
    }
}

/// What the phone sends at most, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    /// Of a block.
    pub(crate) size: usize,
    /// wMaxSegmentSize: of a frame.
    pub(crate) max_segment: u16,
}

/// Carries frames until one side ends.
pub(crate) struct Pump<'t, I, O, F> {
    incoming: I,
    outgoing: O,
    interface: F,
    decoder: Decoder,
    encoder: Encoder,
    longest: usize,
    frame: Box<[u8; FRAME]>,
    /// The length of the frame that waits for the next block.
    waiting: Option<usize>,
    tally: &'t Tally,
}

impl<'t, I: BulkIn, O: BulkOut, F: Frames> Pump<'t, I, O, F> {
    /// `input` says how long the phone's blocks are at most, and its frames; `layout` how our blocks are.
    pub(crate) fn new(ends: (I, O, F), input: Input, layout: Layout, tally: &'t Tally) -> Self {
        let (incoming, outgoing, interface) = ends;
        // What may come is bounded by whole packets, as the transfers are.
        let size = input.size.next_multiple_of(incoming.max_packet().max(1));
        Self {
            decoder: Decoder::new(size).with_max_segment(input.max_segment),
            encoder: Encoder::new(layout),
            longest: layout.max_size,
            frame: Box::new([0; FRAME]),
            waiting: None,
            incoming,
            outgoing,
            interface,
            tally,
        }
    }

    /// Runs until one side ends.
    pub(crate) async fn run(&mut self) -> PumpError {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Ends it: the transfers, which may not be over.
    pub(crate) fn into_transfers(self) -> (I, O) {
        (self.incoming, self.outgoing)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<PumpError> {
        for _ in 0..TURN {
            let (received, sent) = match (self.receive(cx), self.send(cx)) {
                (Ok(received), Ok(sent)) => (received, sent),
                (Err(error), _) | (_, Err(error)) => return Poll::Ready(error),
            };
            if !received && !sent {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One block from the phone, be it a lost one; whether there was one.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<bool, PumpError> {
        let Self { incoming, interface, decoder, tally, .. } = self;
        let mut taken = None;
        let mut take = |block: &[u8]| taken = Some(unpack(block, decoder, interface, tally));
        match (incoming.poll_block(cx, &mut take), taken) {
            (_, Some(Err(error))) => Err(error.into()),
            (Poll::Ready(Err(error)), _) => Err(error.into()),
            (Poll::Ready(Ok(())), Some(Ok(()))) => Ok(true),
            (Poll::Ready(Ok(())), None) => {
                tally.error();
                Ok(true)
            }
            (Poll::Pending, _) => Ok(false),
        }
    }

    /// One block to the phone with the frames that are there; whether there were some.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, PumpError> {
        match self.outgoing.poll_room(cx, &mut || self.tally.error()) {
            Poll::Ready(room) => room?,
            Poll::Pending => return Ok(false),
        }
        let looked_at = self.fill(cx)?;
        let Some(block) = self.encoder.finish() else { return Ok(looked_at) };
        self.outgoing.send(block.bytes, self.longest, block.zero_length_packet);
        Ok(true)
    }

    /// Packs frames until the block is full or there are none; whether there was one, be it a bad one.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, PumpError> {
        let mut any = false;
        loop {
            let length = match self.waiting.take() {
                Some(length) => length,
                None => match self.interface.poll_frame(cx, &mut self.frame[..]) {
                    Poll::Ready(length) => length?.min(FRAME),
                    Poll::Pending => return Ok(any),
                },
            };
            any = true;
            match self.encoder.push(&self.frame[..length]) {
                Ok(()) => Tally::count(&self.tally.tx_frames, &self.tally.tx_bytes, length),
                Err(PushError::Full(_)) => {
                    self.waiting = Some(length);
                    return Ok(any);
                }
                Err(error) => {
                    tracing::debug!(%error, "a frame to the phone is dropped");
                    self.tally.error();
                    // Not endlessly within one turn.
                    return Ok(any);
                }
            }
        }
    }
}

/// Gives a block's frames to the interface. A block that is none is dropped whole.
fn unpack(block: &[u8], decoder: &mut Decoder, interface: &mut impl Frames, tally: &Tally) -> io::Result<()> {
    // What ends a transfer that filled its packets.
    if block.is_empty() {
        return Ok(());
    }
    let skipped = decoder.skipped();
    let frames = match decoder.decode(block) {
        Ok(frames) => frames,
        Err(error) => {
            tracing::debug!(%error, "a block of the phone is dropped");
            tally.error();
            return Ok(());
        }
    };
    for frame in frames {
        if interface.give(frame)? {
            Tally::count(&tally.rx_frames, &tally.rx_bytes, frame.len());
        } else {
            tally.error();
        }
    }
    tally.lost(decoder.skipped().saturating_sub(skipped));
    Ok(())
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
