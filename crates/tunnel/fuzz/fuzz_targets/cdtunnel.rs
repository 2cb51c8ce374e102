//! Any bytes as a CDTunnel message.
#![no_main]

#[path = "../bodies/cdtunnel.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::cdtunnel(bytes);
});
