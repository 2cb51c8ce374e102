//! Finding the end of a text, eight bytes at a time: most of a body is short ASCII texts.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// How many bytes `bytes` begins with that are ASCII and not NUL.
#[inline]
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut length = 0_usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // A byte's high bit is set here if it is not ASCII or if it is 0; only bytes after a 0 can be set wrongly.
        let marks = (word.wrapping_sub(LOW_BITS) | word) & HIGH_BITS;
        if marks != 0 {
            return length.saturating_add(marks.trailing_zeros() as usize >> 3);
        }
        length = length.saturating_add(8);
    }
    let plain = tail.iter().take_while(|byte| (1..0x80).contains(*byte)).count();
    length.saturating_add(plain)
}

/// Where the first NUL in `bytes` is.
#[inline]
pub(super) fn find_nul(bytes: &[u8]) -> Option<usize> {
    let plain = plain_prefix(bytes);
    match bytes.get(plain) {
        Some(0) => Some(plain),
        None => None,
        Some(_) => find_nul_after(bytes, plain),
    }
}

#[cold]
fn find_nul_after(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    Some(from.saturating_add(rest.iter().position(|byte| *byte == 0)?))
}

#[cfg(test)]
mod tests {
    use super::{find_nul, plain_prefix};

    #[test]
    fn every_position_of_every_byte() {
        for length in 0..32 {
            for at in 0..length {
                for special in [0, 0x80, 0xff] {
                    let mut bytes = vec![0x7f; length];
                    bytes[at] = special;
                    assert_eq!(plain_prefix(&bytes), at);
                    assert_eq!(find_nul(&bytes), (special == 0).then_some(at));
                    bytes.push(0);
                    assert_eq!(find_nul(&bytes), Some(if special == 0 { at } else { length }));
                }
            }
            assert_eq!(plain_prefix(&vec![1; length]), length);
        }
    }
}
