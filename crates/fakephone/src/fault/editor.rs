//! Edits the frames that a server writes, without I/O.

/// Octets of a frame's header. Source: RFC 9113 §4.1.
const HEADER: usize = 9;
/// The type of a DATA frame. Source: RFC 9113 §6.1.
const DATA: u8 = 0;
/// A DATA payload of the root stream above this is a Handshake: the opening's own messages have 24 and 44 bytes.
///
/// Source: protocol.md §3.1.
const OPENING_MESSAGE_MAX: usize = 64;
/// What an edited header claims: 16 MiB - 1, the most that its 24 bits can say. Source: RFC 9113 §4.2.
const OVERSIZE: [u8; 3] = [0xff; 3];
/// What stands where an XPC message's bytes should be; its first four are not the wrapper's magic.
const GARBAGE: u8 = b'?';

/// What to do with the frames that carry the Handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// Replace every payload byte.
    Garbage,
    /// Claim a larger payload than follows, once.
    Oversize,
}

/// Follows the frames of one direction and edits those of the Handshake.
#[derive(Debug)]
pub(super) struct Editor {
    edit: Edit,
    header: Vec<u8>,
    payload_left: usize,
    replacing: bool,
    done: bool,
}

impl Editor {
    pub(super) fn new(edit: Edit) -> Editor {
        Editor { edit, header: Vec::with_capacity(HEADER), payload_left: 0, replacing: false, done: false }
    }

    /// Appends the edited form of `bytes` to `out`; at most a frame header's worth is held back.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let (payload, rest) = bytes.split_at(bytes.len().min(self.payload_left));
                if self.replacing {
                    out.resize(out.len() + payload.len(), GARBAGE);
                } else {
                    out.extend_from_slice(payload);
                }
                self.payload_left -= payload.len();
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
            self.header.extend_from_slice(part);
            bytes = rest;
            if let &[a, b, c, kind, flags, s0, s1, s2, s3] = self.header.as_slice() {
                self.begin_frame([a, b, c], kind, [s0, s1, s2, s3], flags, out);
                self.header.clear();
            }
        }
    }

    fn begin_frame(&mut self, length: [u8; 3], kind: u8, stream: [u8; 4], flags: u8, out: &mut Vec<u8>) {
        self.payload_left = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        let is_handshake =
            kind == DATA && u32::from_be_bytes(stream) == 1 && self.payload_left > OPENING_MESSAGE_MAX;
        self.replacing = is_handshake && self.edit == Edit::Garbage;
        let oversize = is_handshake && self.edit == Edit::Oversize && !self.done;
        self.done |= is_handshake;
        out.extend_from_slice(if oversize { &OVERSIZE } else { &length });
        out.extend_from_slice(&[kind, flags]);
        out.extend_from_slice(&stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, 0, 0, 0, 0, stream]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn edited(edit: Edit, input: &[u8], piece: usize) -> Vec<u8> {
        let mut editor = Editor::new(edit);
        let mut out = Vec::new();
        for chunk in input.chunks(piece) {
            editor.push(chunk, &mut out);
        }
        out
    }

    #[test]
    fn only_the_handshakes_payload_becomes_garbage_however_it_is_cut() {
        let settings = frame(4, 0, &[0; 12]);
        let opening = frame(DATA, 1, &[1; 44]);
        let reply_stream = frame(DATA, 3, &[3; 100]);
        let handshake = frame(DATA, 1, &[7; 1000]);
        let input = [settings.clone(), opening.clone(), reply_stream.clone(), handshake].concat();
        let expected = [settings, opening, reply_stream, frame(DATA, 1, &[GARBAGE; 1000])].concat();
        for piece in [1, 7, 4096] {
            assert_eq!(edited(Edit::Garbage, &input, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn one_header_claims_too_much_and_the_rest_is_as_it_was() {
        let input =
            [frame(DATA, 1, &[1; 44]), frame(DATA, 1, &[7; 1000]), frame(DATA, 1, &[7; 1000])].concat();
        let mut expected = input.clone();
        expected[53..56].copy_from_slice(&OVERSIZE);
        for piece in [1, 7, 4096] {
            assert_eq!(edited(Edit::Oversize, &input, piece), expected, "pieces of {piece}");
        }
    }
}
