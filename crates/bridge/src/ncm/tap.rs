//! A TAP interface: one Ethernet frame per read and per write.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::transfer::Frames;
use crate::phone::TUN;
use crate::ports::UsbError;

/// What interfaces of the userspace driver are called; the kernel chooses the number.
const NAME: &CStr = c"iosmuxu%d";

/// The interface. It lives as long as this value.
#[derive(Debug)]
pub(super) struct Tap {
    index: u32,
    file: AsyncFd<File>,
    /// The same file once more: the kernel reports a deleted interface as an error alone, which counts as "can't be
    /// written" and not as "can be read". Nothing else is reported to an interest in urgent data, which TAP has not.
    gone: AsyncFd<File>,
}

impl Tap {
    /// Makes it, down and without an address; its MTU is that of Ethernet, and the phone's (protocol.md §1.6). Needs
    /// CAP_NET_ADMIN and /dev/net/tun.
    pub(super) fn open() -> Result<Self, UsbError> {
        let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(TUN);
        let file = file.map_err(not_opened)?;
        let index = make(&file).map_err(not_made)?;
        Self::of(index, file).map_err(not_made)
    }

    fn of(index: u32, file: File) -> io::Result<Self> {
        let gone = register(file.try_clone()?, Interest::PRIORITY)?;
        Ok(Self { index, gone, file: register(file, Interest::READABLE)? })
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }
}

fn not_opened(source: io::Error) -> UsbError {
    if source.kind() == io::ErrorKind::PermissionDenied {
        UsbError::Denied { node: TUN.to_owned() }
    } else {
        // The name tells what to do next.
        UsbError::Io { action: "opening /dev/net/tun", source }
    }
}

fn not_made(source: io::Error) -> UsbError {
    const ACTION: &str = "making a TAP interface";
    if source.kind() == io::ErrorKind::PermissionDenied {
        UsbError::Right { action: ACTION }
    } else {
        UsbError::Io { action: ACTION, source }
    }
}

impl Frames for Tap {
    fn poll_frame(&mut self, cx: &mut Context<'_>, frame: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let read = match self.file.poll_read_ready(cx) {
                Poll::Ready(guard) => guard?.try_io(|file| file.get_ref().read(frame)),
                Poll::Pending => {
                    ready!(self.gone.poll_write_ready(cx))?.retain_ready();
                    // The file says how it is gone.
                    Ok(self.file.get_ref().read(frame))
                }
            };
            match read {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn give(&mut self, frame: &[u8]) -> io::Result<bool> {
        loop {
            return match self.file.get_ref().write(frame) {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_refusal(&error) => Ok(false),
                Err(error) => Err(error),
            };
        }
    }
}

// TUNSETIFF; the structure is longer than the code says. Source: Linux, linux/if_tun.h.
nix::ioctl_readwrite_bad!(
    set_interface,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    libc::ifreq
);

/// Makes the interface behind a file of [`TUN`]; its index.
///
/// By hand, because libraries configure interfaces through an IPv4 socket, which a hardened unit has not.
#[allow(unsafe_code, reason = "an ioctl")]
fn make(file: &File) -> io::Result<u32> {
    let kind = libc::IFF_TAP | libc::IFF_NO_PI;
    let flags =
        libc::__c_anonymous_ifr_ifru { ifru_flags: libc::c_short::try_from(kind).map_err(io::Error::other)? };
    let mut request = libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: flags };
    for (place, byte) in request.ifr_name.iter_mut().zip(NAME.to_bytes()) {
        *place = byte.cast_signed();
    }
    // SAFETY: the file is open, and the request is a whole ifreq, in which the kernel writes the name that it chose.
    unsafe { set_interface(file.as_raw_fd(), &raw mut request) }?;
    let name: Vec<u8> = request.ifr_name.iter().map(|byte| byte.cast_unsigned()).collect();
    let name = CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
    Ok(if_nametoindex(name)?)
}

/// The interface is there but takes no frame now: it is down (EIO), a queue is full, or the frame is none.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::EIO, Errno::ENOBUFS, Errno::ENOMEM, Errno::EAGAIN, Errno::EINVAL];
    error.raw_os_error().is_some_and(|code| refusals.contains(&Errno::from_raw(code)))
}

#[allow(unsafe_code, reason = "the runtime wants a promise that the file stays open")]
fn register(file: File, interest: Interest) -> io::Result<AsyncFd<File>> {
    // SAFETY: a File owns its descriptor, which nobody replaces or closes while it is registered: AsyncFd owns the File.
    Ok(unsafe { AsyncFd::register_with_interest(file, interest) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::{Failure, Reason};

    fn failure(error: UsbError) -> Reason {
        match Failure::from(error) {
            Failure::Denied { what } => Reason::Denied { what },
            other => {
                let (what, attempts) = ("starting the userspace driver".to_owned(), 5);
                Reason::Failing { what, text: other.to_string(), attempts }
            }
        }
    }

    #[test]
    fn what_keeps_an_interface_from_being_made_is_told_with_what_helps() {
        let told = |error| {
            let reason = failure(error);
            format!("{}: {} | {}", reason.name(), reason.text(), reason.next_step())
        };
        let refusals = [
            not_opened(io::ErrorKind::PermissionDenied.into()),
            not_opened(Errno::ENOENT.into()),
            not_made(Errno::EPERM.into()),
            not_made(Errno::EBUSY.into()),
        ];
        insta::assert_snapshot!(refusals.map(told).join("\n"));
    }
}
