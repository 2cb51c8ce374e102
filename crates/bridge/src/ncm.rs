//! The userspace NCM driver, for kernels that can't bind a function: bulk transfers on one side, a TAP interface on the other.
//!
//! | file | what |
//! |---|---|
//! | `transfer` | what the pump asks of USB and of TAP |
//! | `pump` | frames both ways; without I/O of its own |
//! | `start` | the sequence that brings a function to life |
//! | `tap` | the interface |

mod pump;
mod start;
mod tap;
pub(crate) mod transfer;

pub use start::{Driver, Running};
