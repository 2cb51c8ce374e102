//! lockdownd and the shim services as RSD offers them: plist messages behind an RSDCheckin.

mod frame;
mod serve;
mod session;
mod values;

pub use frame::{FrameError, MESSAGE_MAX, Message, decode, encode, read_message};
pub use serve::serve;
pub use session::{LockdownSession, Role, Step};
pub use values::LockdownValues;
