//! A dialogue with one message changed as the bytes say.
#![no_main]

#[path = "../bodies/transcript.rs"]
mod body;
#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::transcript(bytes);
});
