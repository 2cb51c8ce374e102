//! The lab: phones, a host and a VM on one machine.
//!
//! ```text
//!  namespace phone        namespace host             namespace vm
//!      ncm0 ────────── phone ─┐
//!  namespace phone2           ├─ iosmux0 ─ vm ────────── eth0
//!      ncm0 ───────── phone2 ─┘  (bridge)
//! ```
//!
//! The cables are veth pairs. The host forwards frames and has no address, as a bridge host should. Nothing has a name
//! in the file system: the kernel frees all of it when the process ends, however it ends.
//!
//! | file | what |
//! |---|---|
//! | `lab` | the namespaces, and everything that a desk does to their cables |
//! | [`namespace`] | a network namespace that is a thread |
//! | `requirement`, `isolation` | what the machine must allow, and the user namespace that asks for no rights |
//! | `address`, `link` | netlink: interfaces, bridge, addresses |
//! | `settle` | waiting until connections have ended |
//!
//! A program calls [`preflight`] first, while it has one thread. A test that already runs as root in namespaces of its
//! own builds a [`Lab`] at once.

mod address;
mod error;
mod isolation;
mod lab;
mod link;
mod mac;
pub mod namespace;
mod requirement;
mod settle;

pub use address::Detected;
pub use error::LabError;
pub use isolation::Isolation;
pub use lab::{BRIDGE, Lab, LinkUp, Place, Station};
pub use namespace::Namespace;
pub use requirement::{Unsupported, preflight};
