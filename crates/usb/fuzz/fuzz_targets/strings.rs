//! Any bytes as a string descriptor.
#![no_main]

#[path = "../bodies/strings.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::strings(bytes);
});
