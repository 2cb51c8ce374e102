//! A TAP interface: one Ethernet frame per read and per write.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tun::AbstractDevice as _;

use super::transfer::Frames;

/// What interfaces of the userspace driver are called; the kernel chooses the number.
const NAME: &str = "iosmuxu%d";
/// Bytes of a frame's payload at most: 1514 with the Ethernet header. Source: protocol.md §1.6.
const MTU: u16 = 1500;

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
    /// Makes it, down and without an address. Needs CAP_NET_ADMIN and /dev/net/tun.
    pub(super) fn open() -> io::Result<Self> {
        let mut configuration = tun::Configuration::default();
        configuration.tun_name(NAME).layer(tun::Layer::L2).mtu(MTU);
        let device = tun::create(&configuration).map_err(io_error)?;
        device.set_nonblock()?;
        let index = device.tun_index().map_err(io_error)?;
        let index = u32::try_from(index).map_err(io::Error::other)?;
        let file = file_of(device);
        let gone = register(file.try_clone()?, Interest::PRIORITY)?;
        Ok(Self { index, gone, file: register(file, Interest::READABLE)? })
    }

    pub(super) fn index(&self) -> u32 {
        self.index
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

/// The device's file, taken out of the crate's hands.
#[allow(unsafe_code, reason = "the crate gives its file as a number only")]
fn file_of(device: tun::Device) -> File {
    // SAFETY: into_raw_fd gives up the crate's ownership of an open file, and nobody else has seen its number.
    File::from(unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) })
}

fn io_error(error: tun::Error) -> io::Error {
    match error {
        tun::Error::Io(source) => source,
        other => io::Error::other(other),
    }
}
