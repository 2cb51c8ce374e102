//! Each hostile thing has an error of its own, with the place, what was expected and what came.
#![allow(missing_docs)]

use iosmux_xpc::{DecodeError, Dictionary, EncodeError, Limits, NotSourced, Object, View};

const DICTIONARY: u32 = 0xf000;
const ARRAY: u32 = 0xe000;
const STRING: u32 = 0x9000;

/// A body of words: magic, version, then `words`.
fn body(words: &[u32]) -> Vec<u8> {
    [0x4213_3742, 5].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
}

fn word(text: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*text)
}

/// What both forms say; they must say the same.
fn refusal_with(body: &[u8], limits: &Limits) -> DecodeError {
    let error = Object::decode(body, limits).expect_err("hostile");
    assert_eq!(View::parse(body, limits).expect_err("hostile"), error);
    error
}

fn refusal(words: &[u32]) -> DecodeError {
    refusal_with(&body(words), &Limits::default())
}

/// Arrays inside each other, each with the right size and count.
fn nested(depth: u32) -> Vec<u8> {
    let mut words = Vec::new();
    for level in 0..depth {
        let inside = depth - level - 1;
        words.extend([ARRAY, 4 + inside * 12, u32::from(inside > 0)]);
    }
    body(&words)
}

#[test]
fn nesting_of_64_is_read_and_65_is_not() {
    assert!(Object::decode(&nested(64), &Limits::default()).is_ok());
    let too_deep = DecodeError::TooDeep { offset: 8 + 64 * 12 + 4, limit: 64 };
    assert_eq!(refusal_with(&nested(65), &Limits::default()), too_deep);
}

#[test]
fn nesting_of_100_000() {
    let limits = Limits { nodes: usize::MAX, ..Limits::default() };
    let too_deep = DecodeError::TooDeep { offset: 8 + 64 * 12 + 4, limit: 64 };
    assert_eq!(refusal_with(&nested(100_000), &limits), too_deep);
    let unlimited = Limits { depth: usize::MAX, ..limits };
    assert_eq!(refusal_with(&nested(100_000), &unlimited), too_deep);
}

#[test]
fn file_transfers_count_as_nesting() {
    let mut object = Dictionary::new();
    for _ in 0..63 {
        let inner = Object::FileTransfer { id: 1, info: object };
        object = Dictionary::new().with("i", inner);
    }
    let fits = Object::from(object).encode().expect("64 dictionaries");
    assert!(Object::decode(&fits, &Limits::default()).is_ok());
    let limits = Limits { depth: 63, ..Limits::default() };
    assert!(matches!(refusal_with(&fits, &limits), DecodeError::TooDeep { limit: 63, .. }));
}

#[test]
fn count_of_2_to_32_minus_1() {
    assert_eq!(
        refusal(&[ARRAY, 8, u32::MAX, 0x1000]),
        DecodeError::CountBeyondBytes { offset: 16, limit: 1, left: 4, found: u32::MAX }
    );
    assert_eq!(
        refusal(&[DICTIONARY, 12, u32::MAX, 0, 0x1000]),
        DecodeError::CountBeyondBytes { offset: 16, limit: 1, left: 8, found: u32::MAX }
    );
}

#[test]
fn count_one_too_many_and_one_too_few() {
    assert_eq!(
        refusal(&[ARRAY, 8, 2, 0x1000]),
        DecodeError::CountBeyondBytes { offset: 16, limit: 1, left: 4, found: 2 }
    );
    assert_eq!(
        refusal(&[ARRAY, 16, 2, 0x4000, 1, 0]),
        DecodeError::LengthBeyondEnd { offset: 32, expected: 4, found: 0 }
    );
    assert_eq!(
        refusal(&[ARRAY, 12, 1, 0x1000, 0x1000]),
        DecodeError::SizeMismatch { offset: 12, expected: 12, found: 8 }
    );
}

#[test]
fn string_without_nul() {
    assert_eq!(refusal(&[STRING, 4, word(b"abcd")]), DecodeError::MissingNul { offset: 16, found: 4 });
    assert_eq!(refusal(&[STRING, 0]), DecodeError::MissingNul { offset: 16, found: 0 });
    // The NUL is in the padding, and beyond the string's length.
    assert_eq!(refusal(&[STRING, 3, word(b"abc\0")]), DecodeError::MissingNul { offset: 16, found: 3 });
    // A byte that is not ASCII stands where the NUL should.
    assert_eq!(refusal(&[STRING, 3, word(b"ab\x80\0")]), DecodeError::MissingNul { offset: 16, found: 3 });
}

#[test]
fn key_without_nul() {
    assert_eq!(
        refusal(&[DICTIONARY, 12, 1, word(b"abcd"), 0x4141_4141]),
        DecodeError::MissingNul { offset: 20, found: 8 }
    );
    // A NUL after the dictionary's end is no end of its key.
    let words = [ARRAY, 28, 2, DICTIONARY, 12, 1, word(b"abcd"), 0x4141_4141, 0x1000];
    assert_eq!(refusal(&words), DecodeError::MissingNul { offset: 32, found: 8 });
}

#[test]
fn string_with_interior_nul() {
    assert_eq!(refusal(&[STRING, 4, word(b"a\0b\0")]), DecodeError::InteriorNul { offset: 16, found: 1 });
    assert_eq!(refusal(&[STRING, 4, word(b"\0\0\0\0")]), DecodeError::InteriorNul { offset: 16, found: 0 });
    assert_eq!(
        refusal(&[STRING, 4, word(b"\xc3\xa9\0\0")]),
        DecodeError::InteriorNul { offset: 16, found: 2 }
    );
}

#[test]
fn text_that_is_not_utf8() {
    assert_eq!(refusal(&[STRING, 4, word(b"a\xff!\0")]), DecodeError::InvalidUtf8 { offset: 16, found: 1 });
    assert_eq!(
        refusal(&[DICTIONARY, 12, 1, word(b"ab\xc3\0"), 0x1000]),
        DecodeError::InvalidUtf8 { offset: 20, found: 2 }
    );
}

#[test]
fn length_past_the_end() {
    for (words, offset, expected, found) in [
        (&[STRING, 5, word(b"abc\0")][..], 16, 5, 4),
        (&[STRING, u32::MAX, 0], 16, 0xffff_ffff, 4),
        (&[0x8000, u32::MAX], 16, 0xffff_ffff, 0),
        (&[ARRAY, 8, 0], 16, 8, 4),
        (&[DICTIONARY, u32::MAX, 0], 16, 0xffff_ffff, 4),
        (&[0x4000, 1], 12, 8, 4),
        (&[0xa000, 1, 2, 3], 12, 16, 12),
        (&[], 8, 4, 0),
        (&[0x1_a000, 1, 0], 20, 4, 0),
    ] {
        assert_eq!(refusal(words), DecodeError::LengthBeyondEnd { offset, expected, found }, "{words:x?}");
    }
}

#[test]
fn length_past_the_end_of_its_container_only() {
    // The inner array states 12 bytes, the outer one ends after 8, the body goes on.
    assert_eq!(
        refusal(&[ARRAY, 20, 2, ARRAY, 16, 0, 0x1000, 0x1000, 0x1000]),
        DecodeError::LengthBeyondEnd { offset: 28, expected: 16, found: 8 }
    );
}

#[test]
fn padding_that_is_cut_off() {
    let mut cut = body(&[STRING, 2, word(b"a\0\0\0")]);
    cut.truncate(cut.len() - 1);
    let error = refusal_with(&cut, &Limits::default());
    assert_eq!(error, DecodeError::LengthBeyondEnd { offset: 18, expected: 2, found: 1 });
}

#[test]
fn size_without_room_for_its_count() {
    assert_eq!(refusal(&[ARRAY, 3, 0]), DecodeError::SizeMismatch { offset: 12, expected: 3, found: 4 });
}

#[test]
fn bytes_after_the_object() {
    assert_eq!(refusal(&[0x1000, 0]), DecodeError::TrailingBytes { offset: 12, found: 4 });
    assert_eq!(refusal(&[ARRAY, 4, 0, 0x1000]), DecodeError::TrailingBytes { offset: 20, found: 4 });
}

#[test]
fn magic_and_version() {
    let limits = Limits::default();
    let mut bytes = body(&[0x1000]);
    bytes[4] = 6;
    assert_eq!(refusal_with(&bytes, &limits), DecodeError::BadVersion { found: 6 });
    bytes[0] = 0x41;
    assert_eq!(refusal_with(&bytes, &limits), DecodeError::BadMagic { found: 0x4213_3741 });
    assert_eq!(refusal_with(&[], &limits), DecodeError::LengthBeyondEnd { offset: 0, expected: 4, found: 0 });
}

#[test]
fn bool_of_2_and_what_a_bool_ignores() {
    assert_eq!(refusal(&[0x2000, 2]), DecodeError::BadBool { offset: 12, found: 2 });
    let upper = body(&[0x2000, 0xffff_ff01]);
    assert_eq!(Object::decode(&upper, &Limits::default()), Ok(Object::Bool(true)));
}

#[test]
fn padding_is_not_looked_at() {
    let padded = body(&[STRING, 2, word(b"a\0\xff\x01")]);
    assert_eq!(Object::decode(&padded, &Limits::default()), Ok(Object::from("a")));
}

#[test]
fn unknown_type_and_type_without_source() {
    assert_eq!(refusal(&[0x1_b000]), DecodeError::UnknownType { offset: 8, found: 0x1_b000 });
    assert_eq!(refusal(&[0]), DecodeError::UnknownType { offset: 8, found: 0 });
    for (code, what) in [
        (0x6000, "xpc-type-pointer"),
        (0xd000, "xpc-type-mach-send"),
        (0x1_0000, "xpc-type-error"),
        (0x1_1000, "xpc-type-connection"),
        (0x1_2000, "xpc-type-endpoint"),
        (0x1_3000, "xpc-type-serializer"),
        (0x1_4000, "xpc-type-pipe"),
        (0x1_5000, "xpc-type-mach-recv"),
        (0x1_6000, "xpc-type-bundle"),
        (0x1_7000, "xpc-type-service"),
        (0x1_8000, "xpc-type-service-instance"),
        (0x1_9000, "xpc-type-activity"),
    ] {
        assert_eq!(refusal(&[code]), DecodeError::NotSourced(NotSourced { what }));
    }
}

#[test]
fn file_transfer_without_dictionary() {
    assert_eq!(
        refusal(&[0x1_a000, 1, 0, 0x1000]),
        DecodeError::FileTransferInfo { offset: 20, found: 0x1000 }
    );
}

#[test]
fn more_nodes_than_allowed() {
    let array = |count: u32| {
        let mut words = vec![ARRAY, 4 + count * 4, count];
        words.resize(words.len() + count as usize, 0x1000);
        body(&words)
    };
    assert!(Object::decode(&array(65_535), &Limits::default()).is_ok());
    let error = refusal_with(&array(65_536), &Limits::default());
    assert_eq!(error, DecodeError::TooManyNodes { offset: 16, limit: 65_536 });
    let none = Limits { nodes: 0, ..Limits::default() };
    assert_eq!(refusal_with(&array(0), &none), DecodeError::TooManyNodes { offset: 8, limit: 0 });
}

#[test]
fn body_longer_than_allowed() {
    let limits = Limits { message: 16, ..Limits::default() };
    let bytes = body(&[0x2000, 1]);
    assert!(Object::decode(&bytes, &limits).is_ok());
    let error = refusal_with(&body(&[ARRAY, 4, 0]), &limits);
    assert_eq!(error, DecodeError::TooLarge { limit: 16, found: 20 });
}

#[test]
fn objects_that_are_not_encoded() {
    let nul = EncodeError::InteriorNul { text: "a\0b".into(), found: 1 };
    assert_eq!(Object::from("a\0b").encode(), Err(nul.clone()));
    assert_eq!(Object::from(Dictionary::new().with("a\0b", 1_u64)).encode(), Err(nul));

    let nest = |depth: usize| (0..depth).fold(Object::Null, |inner, _| Object::Array(vec![inner]));
    assert!(nest(64).encode().is_ok());
    assert_eq!(nest(65).encode(), Err(EncodeError::TooDeep { limit: 64 }));

    let many = |count: usize| Object::Array(vec![Object::Null; count]);
    assert!(many(65_535).encode().is_ok());
    assert_eq!(many(65_536).encode(), Err(EncodeError::TooManyNodes { limit: 65_536 }));

    let limits = Limits { message: 20, ..Limits::default() };
    let mut out = b"kept".to_vec();
    assert_eq!(Object::Data(vec![0; 4]).encode_into(&mut out, &limits), Ok(()));
    out.truncate(4);
    let too_large = Object::Data(vec![0; 8]).encode_into(&mut out, &limits);
    assert_eq!(too_large, Err(EncodeError::TooLarge { limit: 20, found: 24 }));
    assert_eq!(out, b"kept");
}
