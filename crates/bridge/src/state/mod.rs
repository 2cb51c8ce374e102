//! What others may read about the phones: `list --json`, the state file, doctor, a tunneld on the same machine.
//!
//! | file | what |
//! |---|---|
//! | `report` | the report, and how a phone gets into it |
//! | `file` | the file that holds it |
//! | `lock` | one daemon at a time |
//! | `list` | phones on USB, with what the file says of them |

mod file;
mod list;
mod lock;
mod report;

pub use file::StateFile;
pub use list::list;
pub use lock::{Lock, LockError};
pub use report::{
    DROPPED, Interface, InterfaceDriver, Phone, Report, SCHEMA, UsbInterface, Why, status_line,
};
