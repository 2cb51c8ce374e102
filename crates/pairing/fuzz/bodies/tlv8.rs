//! What must hold for any bytes given to the TLV8 codec. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_pairing::tlv8::Tlv8;

/// Gives true when the bytes are a TLV8.
pub(crate) fn tlv8(bytes: &[u8]) -> bool {
    let Ok(tlv) = Tlv8::decode(bytes) else { return false };
    let values: usize = tlv.iter().map(|(_, value)| value.len()).sum();
    assert!(values <= bytes.len(), "values come from the input");
    let encoded = tlv.encode();
    assert_eq!(Tlv8::decode(&encoded).as_ref(), Ok(&tlv), "what was written reads back");
    assert!(encoded.len() <= bytes.len(), "joined fragments never take more room");
    let _ = (tlv.state(), tlv.peer_error(), format!("{tlv:?}"));
    true
}
