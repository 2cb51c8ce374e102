//! Any bytes as a body: view and owned form agree, what is accepted comes back, the RSD readings agree.
#![no_main]

#[path = "../bodies/object.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::object(bytes);
});
