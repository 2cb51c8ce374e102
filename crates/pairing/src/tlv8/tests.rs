//! TLV8 against real bytes, against bombs, and against itself.

use super::*;
use proptest::prelude::*;

#[test]
fn real_back_off_reply_reads_8316_seconds_and_is_written_the_same() {
    let bytes = include_bytes!("../../tests/fixtures/m2_backoff_issue879.bin");
    let tlv = Tlv8::decode(bytes).unwrap();
    let error = tlv.peer_error().unwrap();
    assert_eq!(
        error,
        PeerError { code: PeerErrorCode::BackOff, retry_delay: Some(Duration::from_secs(8316)) }
    );
    assert_eq!(tlv.state(), Some(2));
    assert_eq!(error_reply(2, error).encode(), bytes);
}

#[test]
fn long_values_are_split_at_255_and_joined_at_any_length() {
    let value = vec![7u8; 384];
    let bytes = Tlv8::new().with(tag::PUBLIC_KEY, &value).encode();
    assert_eq!(bytes.len(), 384 + 4);
    assert_eq!(&bytes[..2], &[tag::PUBLIC_KEY, 255]);
    assert_eq!(&bytes[257..259], &[tag::PUBLIC_KEY, 129]);
    let mut at_254 = vec![tag::PUBLIC_KEY, 254];
    at_254.extend(&value[..254]);
    at_254.extend([tag::PUBLIC_KEY, 130]);
    at_254.extend(&value[254..]);
    assert_eq!(Tlv8::decode(&at_254).unwrap().get(tag::PUBLIC_KEY), Some(value.as_slice()));
}

#[test]
fn truncation_and_length_bombs_are_typed_errors() {
    assert_eq!(Tlv8::decode(&[6]), Err(TlvError::NoLength { tag: 6, offset: 0 }));
    assert_eq!(
        Tlv8::decode(&[6, 1, 2, 3, 255, 0]),
        Err(TlvError::Truncated { tag: 3, offset: 3, wanted: 255, left: 1 })
    );
    assert_eq!(Tlv8::decode(&vec![0; MAX_LEN + 1]), Err(TlvError::TooLong { got: MAX_LEN + 1 }));
}

#[test]
fn debug_shows_lengths_and_no_values() {
    let text = format!("{:?}", Tlv8::new().with(tag::PROOF, b"secret").with_state(3));
    assert_eq!(text, "Tlv8{4: 6, 6: 1}");
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(tlv) = Tlv8::decode(&bytes) {
            prop_assert_eq!(&Tlv8::decode(&tlv.encode()).unwrap(), &tlv);
        }
    }

    #[test]
    fn encode_then_decode_gives_the_items_back(
        items in proptest::collection::btree_map(any::<u8>(), proptest::collection::vec(any::<u8>(), 0..700), 0..12)
    ) {
        let tlv = items.iter().fold(Tlv8::new(), |tlv, (tag, value)| tlv.with(*tag, value));
        prop_assert_eq!(Tlv8::decode(&tlv.encode()).unwrap(), tlv);
    }
}
