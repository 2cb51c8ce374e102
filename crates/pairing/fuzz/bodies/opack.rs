//! What must hold for any bytes given to the OPACK codec. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_pairing::info::PeerInfo;
use iosmux_pairing::opack::{MAX_DEPTH, MAX_EXPANDED, MAX_NODES, Value};

/// Gives true when the bytes are OPACK.
pub(crate) fn opack(bytes: &[u8]) -> bool {
    assert_eq!(PeerInfo::decode(bytes).is_ok(), Value::decode(bytes).is_ok());
    let Ok(value) = Value::decode(bytes) else { return false };
    let mut size = Size::default();
    size.measure(&value, 0);
    assert!(size.nodes <= MAX_NODES && size.depth <= MAX_DEPTH && size.bytes <= MAX_EXPANDED);
    if let Ok(encoded) = value.encode() {
        assert_eq!(Value::decode(&encoded).as_ref(), Ok(&value), "what was written reads back");
    }
    true
}

#[derive(Default)]
struct Size {
    nodes: usize,
    depth: usize,
    bytes: usize,
}

impl Size {
    fn measure(&mut self, value: &Value, depth: usize) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        match value {
            Value::String(text) => self.bytes += text.len(),
            Value::Data(bytes) => self.bytes += bytes.len(),
            Value::Array(values) => values.iter().for_each(|value| self.measure(value, depth + 1)),
            Value::Dictionary(entries) => entries.iter().for_each(|(key, value)| {
                self.nodes += 1;
                self.bytes += key.len();
                self.measure(value, depth + 1);
            }),
            _ => {}
        }
    }
}
