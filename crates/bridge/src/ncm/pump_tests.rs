//! The pump between a phone and an interface that are queues.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::*;
use iosmux_usb::ncm::{Alignment, NtbParameters};
use proptest::prelude::*;

const INPUT: usize = 16384;
const PACKET: usize = 512;

/// What the ends saw.
#[derive(Debug, Default)]
struct World {
    /// Transfers that the phone sends.
    from_phone: VecDeque<Vec<u8>>,
    /// Transfers from the phone, then to it, that are lost to disturbances.
    lost: [usize; 2],
    /// Transfers that reached it.
    to_phone: Vec<(Vec<u8>, bool)>,
    /// Blocks that may be on their way before the phone has taken some.
    room: usize,
    /// Frames that the kernel sends.
    from_kernel: VecDeque<Vec<u8>>,
    /// Frames that reached it.
    to_kernel: Vec<Vec<u8>>,
    /// The interface is down.
    down: bool,
    /// The interface is deleted.
    deleted: bool,
    /// The phone is unplugged.
    unplugged: bool,
}

#[derive(Clone, Default)]
struct End(Arc<Mutex<World>>);

impl BulkIn for End {
    fn max_packet(&self) -> usize {
        PACKET
    }

    fn poll_block(
        &mut self,
        _: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<Result<(), TransferFailure>> {
        let mut world = self.0.lock().unwrap();
        if world.unplugged {
            return Poll::Ready(Err(TransferFailure::Gone));
        }
        if world.lost[0] > 0 {
            world.lost[0] -= 1;
            return Poll::Ready(Ok(()));
        }
        let Some(block) = world.from_phone.pop_front() else { return Poll::Pending };
        drop(world);
        take(&block);
        Poll::Ready(Ok(()))
    }
}

impl BulkOut for End {
    fn max_packet(&self) -> usize {
        PACKET
    }

    fn poll_room(
        &mut self,
        _: &mut Context<'_>,
        lost: &mut dyn FnMut(),
    ) -> Poll<Result<(), TransferFailure>> {
        let mut world = self.0.lock().unwrap();
        (0..std::mem::take(&mut world.lost[1])).for_each(|_| lost());
        if world.room > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn send(&mut self, block: &[u8], longest: usize, zero_length_packet: bool) {
        let mut world = self.0.lock().unwrap();
        assert!(block.len() <= longest && world.room > 0);
        world.room -= 1;
        world.to_phone.push((block.to_vec(), zero_length_packet));
    }
}

impl Frames for End {
    fn poll_frame(&mut self, _: &mut Context<'_>, frame: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut world = self.0.lock().unwrap();
        if world.deleted {
            return Poll::Ready(Err(io::ErrorKind::NotFound.into()));
        }
        let Some(next) = world.from_kernel.pop_front() else { return Poll::Pending };
        let length = next.len().min(frame.len());
        frame[..length].copy_from_slice(&next[..length]);
        Poll::Ready(Ok(length))
    }

    fn give(&mut self, frame: &[u8]) -> io::Result<bool> {
        let mut world = self.0.lock().unwrap();
        if !world.down {
            world.to_kernel.push(frame.to_vec());
        }
        Ok(!world.down)
    }
}

fn parameters() -> NtbParameters {
    let alignment = Alignment { divisor: 4, remainder: 2, ndp: 4 };
    NtbParameters {
        formats: 1,
        in_max_size: INPUT as u32,
        in_alignment: alignment,
        out_max_size: INPUT as u32,
        out_alignment: alignment,
        out_max_datagrams: 0,
    }
}

/// What the pump does with `world` until nothing is left to do.
fn pump(world: World) -> (World, Counters, Option<PumpError>) {
    let end = End(Arc::new(Mutex::new(world)));
    let tally = Tally::default();
    let layout = Layout::to_device(&parameters(), PACKET as u16);
    let input = Input { size: INPUT, max_segment: 1514 };
    let mut pump = Pump::new((end.clone(), end.clone(), end.clone()), input, layout, &tally);
    let mut cx = Context::from_waker(Waker::noop());
    let mut ended = None;
    // A pump that always has something to do would never come to an end here.
    for _ in 0..1000 {
        if let Poll::Ready(error) = pump.poll(&mut cx) {
            ended = Some(error);
            break;
        }
    }
    let counters = tally.read();
    (std::mem::take(&mut *end.0.lock().unwrap()), counters, ended)
}

fn frame(length: usize, fill: u8) -> Vec<u8> {
    vec![fill; length]
}

/// As a phone makes blocks.
fn blocks(frames: &[Vec<u8>]) -> VecDeque<Vec<u8>> {
    let mut encoder = Encoder::new(Layout::to_host(&parameters(), INPUT as u32, PACKET as u16));
    let mut blocks = VecDeque::new();
    for frame in frames {
        if encoder.push(frame).is_err() {
            blocks.extend(encoder.finish().map(|block| block.bytes.to_vec()));
            encoder.push(frame).unwrap();
        }
    }
    blocks.extend(encoder.finish().map(|block| block.bytes.to_vec()));
    blocks
}

/// As a phone reads blocks.
fn frames(blocks: &[(Vec<u8>, bool)]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(INPUT);
    let mut frames = Vec::new();
    for (block, _) in blocks {
        frames.extend(decoder.decode(block).unwrap().map(<[u8]>::to_vec));
    }
    assert_eq!(decoder.gaps(), 0);
    frames
}

#[test]
fn what_is_ready_goes_in_one_block() {
    let sent = vec![frame(60, 1), frame(1514, 2), frame(14, 3)];
    let (world, counters, ended) =
        pump(World { from_kernel: sent.clone().into(), room: 4, ..World::default() });
    assert_eq!(world.to_phone.len(), 1);
    assert_eq!(frames(&world.to_phone), sent);
    assert_eq!((counters.tx_frames, counters.tx_bytes, counters.errors), (3, 1588, 0));
    assert!(ended.is_none());
}

#[test]
fn a_block_that_fills_its_packets_is_ended_by_an_empty_one() {
    let mut seen = false;
    // One frame after the other grows by a byte: some block of them is a multiple of the packet's size.
    for length in 700..1300 {
        let (world, _, _) =
            pump(World { from_kernel: [frame(length, 1)].into(), room: 1, ..World::default() });
        let (block, zero_length_packet) = &world.to_phone[0];
        assert_eq!(*zero_length_packet, block.len() % PACKET == 0, "{}", block.len());
        seen |= zero_length_packet;
    }
    assert!(seen);
}

#[test]
fn frames_wait_while_the_phone_is_slow() {
    let sent: Vec<_> = (0..100).map(|number| frame(1514, number)).collect();
    let (world, counters, _) = pump(World { from_kernel: sent.clone().into(), room: 2, ..World::default() });
    let arrived = frames(&world.to_phone);
    assert_eq!(world.to_phone.len(), 2);
    assert_eq!(arrived, sent[..arrived.len()], "in order");
    assert_eq!(arrived.len() as u64, counters.tx_frames);
    assert_eq!(
        world.from_kernel.len(),
        99 - arrived.len(),
        "one waits for the next block, the kernel has the others"
    );
}

#[test]
fn frames_that_fit_nowhere_are_dropped_and_counted() {
    let sent = [frame(13, 1), frame(1518, 2), frame(0, 3), frame(60, 4)];
    let (world, counters, _) = pump(World { from_kernel: sent.into(), room: 4, ..World::default() });
    assert_eq!(frames(&world.to_phone), [frame(60, 4)]);
    assert_eq!((counters.tx_frames, counters.errors), (1, 3));
}

#[test]
fn a_block_that_is_none_is_dropped_and_the_next_one_is_read() {
    let good = blocks(&[frame(60, 1)]);
    let mut bad = good[0].clone();
    bad[0] = b'X';
    let from_phone = [bad, vec![0; 3], Vec::new(), vec![0xff; INPUT + PACKET], good[0].clone()];
    let (world, counters, ended) = pump(World { from_phone: from_phone.into(), ..World::default() });
    assert_eq!(world.to_kernel, [frame(60, 1)]);
    assert_eq!((counters.rx_frames, counters.rx_bytes, counters.errors), (1, 60, 3), "an empty one is fine");
    assert!(ended.is_none());
}

#[test]
fn a_frame_that_is_too_long_is_counted_and_its_neighbours_are_carried() {
    let mut block = b"NCMH\x0c\0\0\0\0\0\x0c\0NCM0\x18\0\0\0".to_vec();
    for (at, length) in [(36_u16, 60_u16), (96, 1600), (1696, 1518), (0, 0)] {
        block.extend([at.to_le_bytes(), length.to_le_bytes()].concat());
    }
    block.resize(1696 + 1518, 1);
    let (world, counters, _) = pump(World { from_phone: [block].into(), ..World::default() });
    assert_eq!(world.to_kernel, [frame(60, 1), frame(1518, 1)]);
    assert_eq!((counters.rx_frames, counters.errors), (2, 1));
}

#[test]
fn blocks_that_disturbances_took_are_counted() {
    for (lost, errors) in [([2, 0], 2), ([0, 3], 3)] {
        let from_phone = blocks(&[frame(60, 1)]);
        let (world, counters, ended) = pump(World { lost, from_phone, ..World::default() });
        assert_eq!((counters.errors, counters.rx_frames, world.lost), (errors, 1, [0, 0]));
        assert!(ended.is_none());
    }
}

#[test]
fn while_the_interface_is_down_frames_are_counted_as_lost() {
    let from_phone = blocks(&[frame(60, 1), frame(60, 2)]);
    let (world, counters, ended) = pump(World { from_phone, down: true, ..World::default() });
    assert_eq!((world.to_kernel.len(), counters.rx_frames, counters.errors), (0, 0, 2));
    assert!(ended.is_none());
}

#[test]
fn an_unplugged_phone_and_a_deleted_interface_end_it() {
    let (_, _, ended) = pump(World { unplugged: true, ..World::default() });
    assert!(matches!(ended, Some(PumpError::Transfer(TransferFailure::Gone))));
    let (_, _, ended) = pump(World { deleted: true, room: 1, ..World::default() });
    assert!(matches!(ended, Some(PumpError::Interface(_))));
}

proptest! {
    #[test]
    fn whatever_is_sent_comes_out(
        down in prop::collection::vec((14_usize..=1514, any::<u8>()), 0..200),
        up in prop::collection::vec((14_usize..=1514, any::<u8>()), 0..200),
    ) {
        let make = |of: &[(usize, u8)]| of.iter().map(|(length, fill)| frame(*length, *fill)).collect::<Vec<_>>();
        let (down, up) = (make(&down), make(&up));
        let from_kernel = up.clone().into();
        let (world, counters, ended) =
            pump(World { from_phone: blocks(&down), from_kernel, room: 1000, ..World::default() });
        prop_assert_eq!(&world.to_kernel, &down);
        prop_assert_eq!(frames(&world.to_phone), up);
        prop_assert_eq!((counters.rx_frames, counters.errors), (down.len() as u64, 0));
        prop_assert!(ended.is_none());
    }

    #[test]
    fn no_bytes_of_a_phone_harm(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        let noise = |block: Vec<u8>| [b"NCMH\x0c\x00".to_vec(), block].concat();
        let from_phone: VecDeque<_> = blocks.into_iter().map(noise).collect();
        let (world, _, ended) = pump(World { from_phone, ..World::default() });
        prop_assert!(world.from_phone.is_empty() && ended.is_none());
    }
}
