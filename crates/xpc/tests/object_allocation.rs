//! What a hostile body can make the decoder allocate, counted by the allocator.
#![allow(missing_docs, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use iosmux_xpc::rsd::{Handshake, HandshakeView};
use iosmux_xpc::{Limits, Object, View};

struct Counting;

thread_local! {
    /// Bytes this thread asked for; per thread, because tests run beside each other.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches only a thread-local without destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated while `run` runs, whether freed again or not.
fn allocated<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = ASKED.get();
    let result = run();
    (result, ASKED.get() - before)
}

fn body(words: &[u32]) -> Vec<u8> {
    [0x4213_3742, 5].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_refused_body_allocates_nothing() {
    let limits = Limits::default();
    let mut nested = Vec::new();
    for level in (0..100_000_u32).rev() {
        nested.extend([0xe000, 4 + level * 12, u32::from(level > 0)]);
    }
    for hostile in [
        body(&nested),
        body(&[0xe000, 8, u32::MAX, 0x1000]),
        body(&[0xf000, 12, u32::MAX, 0, 0x1000]),
        body(&[0x9000, u32::MAX, 0]),
        body(&[0x8000, u32::MAX]),
        body(&[0xe000, u32::MAX, u32::MAX]),
    ] {
        let (result, bytes) = allocated(|| Object::decode(&hostile, &limits));
        assert!(result.is_err());
        assert_eq!(bytes, 0);
    }
}

#[test]
fn a_view_allocates_nothing() {
    let message = include_bytes!("fixtures/xpc/handshake_46properties_62services.bin");
    let (count, bytes) = allocated(|| {
        let view = View::parse(&message[24..], &Limits::default()).unwrap();
        view.as_dictionary().unwrap().iter().count()
    });
    assert_eq!((count, bytes), (5, 0));
}

#[test]
fn an_accepted_body_allocates_in_proportion_to_its_nodes() {
    // The worst body per byte: nulls, 4 bytes each.
    let mut words = vec![0xe000, 4 + 65_535 * 4, 65_535];
    words.resize(words.len() + 65_535, 0x1000);
    let nulls = body(&words);
    let (object, bytes) = allocated(|| Object::decode(&nulls, &Limits::default()));
    assert!(object.is_ok());
    assert_eq!(bytes, 65_535 * size_of::<Object>());
    assert!(bytes < 4 << 20, "{bytes}");
}

#[test]
fn a_large_handshake_allocates_within_a_few_times_its_bytes() {
    let message = include_bytes!("fixtures/xpc/handshake_46properties_62services.bin");
    let body = &message[24..];
    let (_, borrowed) = allocated(|| HandshakeView::decode(body, &Limits::default()).unwrap());
    let (_, owned) = allocated(|| Handshake::decode(body, &Limits::default()).unwrap());
    assert!(borrowed < body.len(), "{borrowed}");
    assert!(owned < 4 * body.len(), "{owned}");
}
