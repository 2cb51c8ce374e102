//! Any bytes as descriptors.
#![no_main]

#[path = "../bodies/descriptors.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::descriptors(bytes);
});
