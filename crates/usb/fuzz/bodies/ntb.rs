//! What must hold for any bytes given as a block, or as NTB parameters. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_usb::ncm::NtbParameters;
use iosmux_usb::ntb::{Decoder, ETHERNET_HEADER, Encoder, Layout, MAX_TAGGED, PushError};

/// What the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A block with frames.
    Frames,
    /// One without any.
    Empty,
    /// No block, but parameters that can be kept to.
    Parameters,
    /// None of them.
    Bad,
}

/// Bytes of a block at most.
pub(crate) const MAX_SIZE: usize = 16_384;

/// Reads the bytes both ways and checks what came out.
pub(crate) fn ntb(bytes: &[u8]) -> Verdict {
    let parameters = NtbParameters::parse(bytes);
    if let Ok(parameters) = &parameters {
        keep_to(parameters);
    }
    let mut decoder = Decoder::new(MAX_SIZE);
    let frames: Vec<&[u8]> = match decoder.decode(bytes) {
        Ok(frames) => frames.collect(),
        Err(error) => {
            assert!(error.to_string().len() < 200, "an error repeats little of what came");
            return if parameters.is_ok() { Verdict::Parameters } else { Verdict::Bad };
        }
    };
    assert!(bytes.len() <= MAX_SIZE);
    assert!(frames.iter().all(|frame| (ETHERNET_HEADER..=MAX_TAGGED).contains(&frame.len())));
    let mut places: Vec<_> = frames.iter().map(|frame| frame.as_ptr_range()).collect();
    places.sort_by_key(|place| place.start);
    assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start), "no byte is given out twice over");
    if frames.is_empty() { Verdict::Empty } else { Verdict::Frames }
}

/// Blocks made by any parameters that were taken are read back.
fn keep_to(parameters: &NtbParameters) {
    let layout = Layout::to_device(parameters, 512);
    let mut encoder = Encoder::new(layout);
    let frames: Vec<Vec<u8>> = [1514, 14, 60].into_iter().map(|length| vec![0xa5; length]).collect();
    let mut taken = Vec::new();
    for frame in &frames {
        match encoder.push(frame) {
            Ok(()) => taken.push(frame.as_slice()),
            Err(PushError::Full(_)) => {}
            Err(error) => panic!("parameters that no frame fits into were taken: {error}"),
        }
    }
    let block = encoder.finish().expect("a frame was taken");
    assert!(block.bytes.len() <= layout.max_size);
    let mut decoder = Decoder::new(layout.max_size);
    let read: Vec<&[u8]> = decoder.decode(block.bytes).unwrap().collect();
    assert_eq!(read, taken);
    let start = block.bytes.as_ptr() as usize;
    for frame in read {
        let payload = frame.as_ptr() as usize - start + ETHERNET_HEADER;
        let alignment = layout.alignment;
        assert_eq!(payload % usize::from(alignment.divisor), usize::from(alignment.remainder));
    }
}
