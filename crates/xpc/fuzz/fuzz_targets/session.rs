//! Any script of received bytes and calls: a session never breaks its promises.
#![no_main]

#[path = "../bodies/session.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    body::session(script);
});
