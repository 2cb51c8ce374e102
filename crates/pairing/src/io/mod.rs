//! Drivers: control messages on connections, and the host's dialogue with a device.
//!
//! [`wire`] carries envelopes over RemoteXPC or over a plain stream; [`host`] runs
//! [`HostControl`](crate::control::host::HostControl) on either.

pub mod host;
pub mod wire;

use getrandom::SysRng;
use rand_core::{CryptoRng, UnwrapErr};

/// The operating system's randomness, for keys; a system that has none is no place to pair.
pub fn random() -> impl CryptoRng {
    UnwrapErr(SysRng)
}
