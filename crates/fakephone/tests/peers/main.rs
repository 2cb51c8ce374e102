//! Clients that we did not write, against `fakephone net` on a link of its own.
//!
//! | file | what |
//! |---|---|
//! | `pymobiledevice3`, `go_ios`, `idevice_crate` | each reads the phone's catalogue, which is compared with the captured one |
//! | `discovery` | avahi and pymobiledevice3 find the phone, and we find it beside an avahi that owns port 5353 |
//! | `stage` | the phone and the link that it is on |
//! | `lab`, `process` | namespaces that are threads, child programs that end with them |
//! | `avahi`, `usbmuxd` | avahi with a message bus of its own; a usbmuxd that only lists one device |
#![cfg(feature = "peer-tests")]

mod avahi;
mod discovery;
mod go_ios;
mod idevice_crate;
mod lab;
mod process;
mod pymobiledevice3;
mod stage;
mod usbmuxd;
