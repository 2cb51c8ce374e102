//! Blocks: those that working hosts send, and what any sequence of frames becomes.

use iosmux_usb::ncm::{Alignment, NtbParameters};
use iosmux_usb::ntb::{Decoder, Encoder, Layout, NtbError, PushError, needs_zero_length_packet};
use proptest::prelude::*;

const ALIGNMENT: Alignment = Alignment { divisor: 4, remainder: 0, ndp: 4 };

fn layout(max_frames: u16) -> Layout {
    Layout { max_size: 16_384, full: 16_384, max_frames, alignment: ALIGNMENT, max_packet: 512 }
}

fn decode(block: &[u8]) -> Result<Vec<Vec<u8>>, NtbError> {
    Decoder::new(16_384).decode(block).map(|frames| frames.map(<[u8]>::to_vec).collect())
}

#[test]
fn one_frame_is_where_go_ios_puts_it() {
    // Source: protocol.md §1.6 (NDP at 12, length 16, datagram at 30).
    let mut encoder = Encoder::new(layout(1));
    encoder.push(&[0xee; 14]).unwrap();
    let block = encoder.finish().unwrap();
    let mut expected = b"NCMH\x0c\0\0\0\x2c\0\x0c\0NCM0\x10\0\0\0\x1e\0\x0e\0\0\0\0\0\0\0".to_vec();
    expected.extend([0xee; 14]);
    assert_eq!(block.bytes, expected);
    assert!(!block.zero_length_packet);
}

#[test]
fn sequence_numbers_count_and_gaps_are_seen() {
    let mut encoder = Encoder::new(layout(1));
    let mut blocks = Vec::new();
    for _ in 0..4 {
        encoder.push(&[1; 60]).unwrap();
        blocks.push(encoder.finish().unwrap().bytes.to_vec());
    }
    assert!(encoder.finish().is_none() && encoder.is_empty());
    assert_eq!(blocks.iter().map(|block| block[6]).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let mut decoder = Decoder::new(16_384);
    for at in [0, 1, 3] {
        assert_eq!(decoder.decode(&blocks[at]).unwrap().count(), 1);
    }
    assert_eq!(decoder.gaps(), 1);
}

#[test]
fn a_full_block_and_a_frame_of_no_length_are_refused() {
    let mut encoder = Encoder::new(layout(2));
    for _ in 0..2 {
        encoder.push(&[1; 60]).unwrap();
    }
    assert_eq!(encoder.push(&[1; 60]), Err(PushError::Full(60)));
    assert_eq!(encoder.push(&[1; 13]), Err(PushError::Length(13)));
    assert_eq!(encoder.push(&[1; 1515]), Err(PushError::Length(1515)));
    assert_eq!(decode(encoder.finish().unwrap().bytes).unwrap().len(), 2);
    let mut small = Encoder::new(Layout { max_size: 1024, ..layout(1) });
    assert_eq!(small.push(&[1; 1514]), Err(PushError::NeverFits { length: 1514, most: 1024 }));
    small.push(&[1; 60]).unwrap();
    assert_eq!(decode(small.finish().unwrap().bytes).unwrap(), [vec![1; 60]]);
}

#[test]
fn a_block_that_fills_its_packets_is_followed_by_none_of_no_bytes_only_at_its_full_length() {
    for (length, wanted) in [(511, false), (512, true), (513, false), (1024, true), (16_384, false)] {
        assert_eq!(needs_zero_length_packet(length, 512, 16_384), wanted, "{length}");
    }
    assert!(!needs_zero_length_packet(512, 0, 16_384));
    let mut encoder = Encoder::new(layout(1));
    encoder.push(&[1; 512 - 30]).unwrap();
    let block = encoder.finish().unwrap();
    assert_eq!((block.bytes.len(), block.zero_length_packet), (512, true));
}

#[test]
fn a_block_as_long_as_ours_may_be_is_not_full_where_the_reader_takes_longer_ones() {
    for (full, wanted) in [(1024, false), (2048, true)] {
        let mut encoder = Encoder::new(Layout { full, ..layout(1).at_most(1024) });
        encoder.push(&[1; 1024 - 30]).unwrap();
        let block = encoder.finish().unwrap();
        assert_eq!((block.bytes.len(), block.zero_length_packet), (1024, wanted));
    }
}

#[test]
fn the_smallest_block_holds_the_longest_frame_at_any_alignment() {
    for (divisor, ndp) in [(1, 4), (4, 4), (256, 256), (256, 4), (4, 256)] {
        for remainder in [0, 1, 14, divisor - 1] {
            let alignment = Alignment { divisor, remainder: remainder % divisor, ndp };
            let parameters = NtbParameters {
                formats: 1,
                in_max_size: 2048,
                in_alignment: alignment,
                out_max_size: 2048,
                out_alignment: alignment,
                out_max_datagrams: 0,
            };
            NtbParameters::parse(&parameters.to_bytes()).unwrap();
            for layout in [Layout::to_device(&parameters, 512), Layout::to_host(&parameters, 2048, 512)] {
                let mut encoder = Encoder::new(layout);
                encoder.push(&[1; 1514]).unwrap();
                assert_eq!(decode(encoder.finish().unwrap().bytes).unwrap(), [vec![1; 1514]]);
            }
        }
    }
}

/// Blocks of the kind that Linux sends: the NDP behind the frames, padding behind all.
fn ndp_last() -> Vec<u8> {
    let mut block = b"NCMH\x0c\0\x07\0\x38\0\x1c\0".to_vec();
    block.extend([0xaa; 14]);
    block.extend([0, 0]);
    block.extend(b"NCM0\x10\0\0\0\x0c\0\x0e\0\0\0\0\0");
    block.extend([0; 12]);
    block
}

#[test]
fn an_ndp_behind_the_frames_is_found() {
    assert_eq!(decode(&ndp_last()).unwrap(), [vec![0xaa; 14]]);
    let mut short_packet_ends = ndp_last();
    (short_packet_ends[8], short_packet_ends[9]) = (0, 0);
    assert_eq!(decode(&short_packet_ends).unwrap(), [vec![0xaa; 14]]);
}

#[test]
fn what_is_wrong_in_a_block_is_named() {
    let with = |changes: &[(usize, u8)]| {
        let mut block = ndp_last();
        for (at, byte) in changes {
            block[*at] = *byte;
        }
        decode(&block).unwrap_err()
    };
    assert!(matches!(with(&[(0, b'X')]), NtbError::Header { .. }));
    assert!(matches!(with(&[(4, 13)]), NtbError::Header { .. }));
    assert_eq!(with(&[(8, 0x39)]), NtbError::BlockLength { claimed: 0x39, came: 56 });
    assert_eq!(with(&[(8, 11)]), NtbError::BlockLength { claimed: 11, came: 56 });
    for at in [0, 8, 30, 200] {
        assert_eq!(with(&[(10, at)]), NtbError::Ndp { at: at.into(), length: 56 });
    }
    assert_eq!(with(&[(32, 12)]), NtbError::Ndp { at: 28, length: 56 });
    assert_eq!(with(&[(32, 200)]), NtbError::Ndp { at: 28, length: 56 });
    assert_eq!(with(&[(34, 28)]), NtbError::Overlap { block: 56 });
    assert_eq!(with(&[(38, 45)]), NtbError::Frame { at: 12, length: 45, block: 56 });
    assert_eq!(with(&[(36, 11)]), NtbError::Frame { at: 11, length: 14, block: 56 });
    assert_eq!(decode(&[0; 16_385]), Err(NtbError::TooLong { came: 16_385, most: 16_384 }));
    assert!(matches!(decode(b"NCMH\x0c\0"), Err(NtbError::Header { .. })));
}

#[test]
fn a_frame_of_a_length_that_is_none_is_passed_over_and_its_neighbours_are_read() {
    let lengths = [60_u16, 1518, 1519, 13, 14];
    let mut block = b"NCMH\x0c\0\0\0\0\0\x0c\0NCM0\x20\0\0\0".to_vec();
    let mut at = 12 + 32_u16;
    for length in lengths {
        block.extend([at.to_le_bytes(), length.to_le_bytes()].concat());
        at += length;
    }
    block.resize(at.into(), 0);
    let read = |mut decoder: Decoder| {
        let frames: Vec<usize> = decoder.decode(&block).unwrap().map(<[u8]>::len).collect();
        (frames, decoder.skipped())
    };
    assert_eq!(read(Decoder::new(16_384)), (vec![60, 1518, 14], 2));
    assert_eq!(read(Decoder::new(16_384).with_max_segment(1514)), (vec![60, 1518, 14], 2));
    assert_eq!(read(Decoder::new(16_384).with_max_segment(1519)), (vec![60, 1518, 1519, 14], 1));
}

#[test]
fn an_ndp_of_another_kind_is_passed_over_and_the_next_one_is_read() {
    let mut block = b"NCMH\x0c\0\0\0\0\0\x0c\0".to_vec();
    block.extend(b"abcd\x10\0\x1c\0\xff\xff\xff\xff\0\0\0\0");
    block.extend(b"NCM0\x10\0\0\0\x2c\0\x0e\0\0\0\0\0");
    block.extend([7; 14]);
    let mut decoder = Decoder::new(16_384);
    assert_eq!(decoder.decode(&block).unwrap().collect::<Vec<_>>(), [[7; 14]]);
    assert_eq!(decoder.skipped(), 1);
    // A circle of them ends as well.
    block[18] = 12;
    assert_eq!(decode(&block), Err(NtbError::TooManyNdps));
}

/// A block with an NDP behind three frames of 14 bytes, which these places name.
fn naming(places: [(u8, u8); 3]) -> Vec<u8> {
    let mut block = b"NCMH\x0c\0\0\0\0\0\x38\0".to_vec();
    block.extend((0..44).map(|number| number / 14));
    block.extend(b"NCM0\x18\0\0\0");
    block.extend(places.iter().flat_map(|(at, length)| [*at, 0, *length, 0]));
    block.extend([0; 4]);
    block
}

#[test]
fn frames_come_in_any_order_but_share_no_bytes() {
    let frames = decode(&naming([(40, 14), (12, 14), (26, 14)])).unwrap();
    assert_eq!(frames, [[2; 14], [0; 14], [1; 14]]);
    for places in
        [[(12, 14), (40, 14), (12, 14)], [(12, 15), (26, 14), (40, 14)], [(40, 14), (12, 14), (25, 14)]]
    {
        assert_eq!(decode(&naming(places)), Err(NtbError::Overlap { block: 80 }), "{places:?}");
    }
}

#[test]
fn a_circle_of_empty_ndps_ends() {
    let mut block = ndp_last();
    block[34] = 28;
    block[36] = 0;
    assert_eq!(decode(&block), Err(NtbError::TooManyNdps));
}

fn alignment() -> impl Strategy<Value = Alignment> {
    (0_u32..=8, 2_u32..=8, any::<u16>()).prop_map(|(divisor, ndp, remainder)| {
        let divisor = 1 << divisor;
        Alignment { divisor, remainder: remainder % divisor, ndp: 1 << ndp }
    })
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 14..=1514), 1..40),
        alignment in alignment(),
        (out_max_size, out_max_datagrams) in (prop_oneof![2048_u32..2300, 2048_u32..100_000], 0_u16..50),
    ) {
        let parameters = NtbParameters {
            formats: 1, in_max_size: 2048, in_alignment: alignment, out_max_size, out_alignment: alignment, out_max_datagrams,
        };
        prop_assert_eq!(NtbParameters::parse(&parameters.to_bytes()), Ok(parameters));
        let layout = Layout::to_device(&parameters, 512);
        let mut encoder = Encoder::new(layout);
        let mut decoder = Decoder::new(layout.max_size);
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut blocks = 0_u16;
        let mut read = |encoder: &mut Encoder, out: &mut Vec<Vec<u8>>| {
            let block = encoder.finish().unwrap();
            assert!(block.bytes.len() <= layout.max_size);
            assert_eq!(block.bytes[6..8], blocks.to_le_bytes());
            blocks += 1;
            let before = out.len();
            for frame in decoder.decode(block.bytes).unwrap() {
                let payload = frame.as_ptr() as usize - block.bytes.as_ptr() as usize + 14;
                assert_eq!(payload % usize::from(alignment.divisor), usize::from(alignment.remainder));
                out.push(frame.to_vec());
            }
            assert!(out_max_datagrams == 0 || out.len() - before <= usize::from(out_max_datagrams));
        };
        for frame in &frames {
            if let Err(error) = encoder.push(frame) {
                prop_assert_eq!(error, PushError::Full(frame.len()));
                read(&mut encoder, &mut out);
                encoder.push(frame).unwrap();
            }
        }
        read(&mut encoder, &mut out);
        prop_assert_eq!(out, frames);
        prop_assert_eq!(decoder.gaps(), 0);
    }

    #[test]
    fn any_bytes_behind_a_good_head_are_judged(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut block = b"NCMH\x0c\0\0\0\0\0\x0c\0NCM0".to_vec();
        block.extend(tail);
        if let Ok(frames) = decode(&block) {
            prop_assert!(frames.iter().map(Vec::len).sum::<usize>() <= block.len());
        }
    }
}
