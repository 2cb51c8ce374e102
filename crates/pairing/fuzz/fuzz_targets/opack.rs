//! Any bytes as OPACK: bounded, and what can be written comes back.
#![no_main]

#[path = "../bodies/opack.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::opack(bytes);
});
