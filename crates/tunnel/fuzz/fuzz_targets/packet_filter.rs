//! Any bytes as a phone's stream of packets; the first says in how large pieces it comes.
#![no_main]

#[path = "../bodies/packet_filter.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [piece, stream @ ..] = bytes {
        body::packet_filter(stream, usize::from(*piece) * 8 + 1);
    }
});
