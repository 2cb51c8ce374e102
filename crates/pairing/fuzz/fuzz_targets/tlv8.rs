//! Any bytes as a TLV8: what is accepted comes back.
#![no_main]

#[path = "../bodies/tlv8.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::tlv8(bytes);
});
