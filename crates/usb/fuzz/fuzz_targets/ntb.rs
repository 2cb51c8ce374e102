//! Any bytes as a block, and as NTB parameters.
#![no_main]

#[path = "../bodies/ntb.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::ntb(bytes);
});
