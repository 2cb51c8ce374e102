//! A process that opens phones' nodes for us and can do nothing else.
//!
//! After each enumeration the node belongs to root again, and a one-off `sudo iosmux-bridge up` has no udev rule that would
//! give it to the caller; where usbmuxd is installed it is usbmuxd's, and not root's. So a child with CAP_DAC_OVERRIDE, and
//! without any other right, opens nodes of phones and passes them over a socket. It ends when the socket does.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    setsockopt, socketpair, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use nix::unistd::{ForkResult, fork, setsid};

use super::Error;

/// The major number of USB nodes. Source: the kernel's Documentation/admin-guide/devices.txt.
const USB_MAJOR: u64 = 189;
/// The longest wait for an answer, in seconds.
const PATIENCE: i64 = 2;

/// What is wrong when no answer comes.
const ENDED: &str = "the process that opens USB nodes has ended; start the command again";

/// A node: its bus and its number there.
type Node = [u8; 2];

/// The node that was asked for, and the error that its open had or 0.
type Answer = [u8; 6];

fn answer([bus, device]: Node, code: i32) -> Answer {
    let [c0, c1, c2, c3] = code.to_ne_bytes();
    [bus, device, c0, c1, c2, c3]
}

/// The process that opens nodes. It ends when this is dropped.
#[derive(Debug)]
pub struct Opener {
    socket: Mutex<OwnedFd>,
    pid: u32,
}

impl Opener {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens the node of a phone; the error is the one that the open had, `InvalidInput` when it is no phone's.
    pub(crate) fn open(&self, bus: u8, device: u8) -> io::Result<OwnedFd> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let request: Node = [bus, device];
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&request)], &[], MsgFlags::MSG_NOSIGNAL, None)?;
        loop {
            let mut bytes = Answer::default();
            let (length, file) = receive(&socket, &mut bytes)?;
            let [bus, device, code @ ..] = bytes;
            match (i32::from_ne_bytes(code), file) {
                _ if length != bytes.len() => return Err(io::Error::other(ENDED)),
                // One that was waited for in vain comes late; another phone's node would be taken for this one's.
                _ if [bus, device] != request => {}
                (0, Some(file)) => return Ok(file),
                (0, None) => return Err(io::Error::other(ENDED)),
                (code, _) => return Err(io::Error::from_raw_os_error(code)),
            }
        }
    }
}

/// Starts it; `restrict` is done in it first.
pub(super) fn start(restrict: impl FnOnce() -> Result<(), Error>) -> Result<Opener, Error> {
    let failed = |action| move |error: Errno| Error::System { action, source: error.into() };
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (ours, theirs) = pair.map_err(failed("making a socket pair"))?;
    setsockopt(&ours, ReceiveTimeout, &TimeVal::seconds(PATIENCE))
        .map_err(failed("limiting a socket's wait"))?;
    match fork_once().map_err(failed("starting the process that opens USB nodes"))? {
        ForkResult::Parent { child } => {
            Ok(Opener { socket: Mutex::new(ours), pid: child.as_raw().unsigned_abs() })
        }
        ForkResult::Child => {
            drop(ours);
            // What asks the program to end is for the parent, which may need a node once more to restore the phone: Ctrl-C at
            // the terminal, and the signal of a service manager to all of a service's processes.
            let restricted = setsid().is_ok() && ignore_ends() && restrict().is_ok();
            if restricted {
                serve(&theirs);
            }
            end(i32::from(!restricted));
        }
    }
}

#[allow(unsafe_code, reason = "a process of its own can't be had otherwise")]
fn fork_once() -> nix::Result<ForkResult> {
    // SAFETY: privileges has seen that there is one thread, so no lock is held by another one.
    unsafe { fork() }
}

/// Whether signals that ask for an end are ignored now.
#[allow(unsafe_code, reason = "the library's own call is unsafe as well: it takes handlers")]
fn ignore_ends() -> bool {
    let ignored = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].map(|signal| {
        // SAFETY: SIG_IGN runs nothing of this program.
        unsafe { libc::signal(signal, libc::SIG_IGN) }
    });
    !ignored.contains(&libc::SIG_ERR)
}

/// Ends the child at once: what is to be done at the end of a program is the parent's.
#[allow(unsafe_code, reason = "the library's own end runs the parent's handlers")]
fn end(status: i32) -> ! {
    // SAFETY: _exit(2) takes any status and does not return.
    unsafe { libc::_exit(status) }
}

/// Answers until the other end is closed.
fn serve(socket: &OwnedFd) {
    let mut request = Node::default();
    while let Ok((2, None)) = receive(socket, &mut request) {
        let opened = open(request);
        let code = match &opened {
            Ok(_) => 0,
            Err(error) => error.raw_os_error().unwrap_or(Errno::EINVAL as i32),
        };
        let descriptors: Vec<_> = opened.iter().map(|file| file.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let rights = if descriptors.is_empty() { &[][..] } else { &rights[..] };
        let answer = answer(request, code);
        let flags = MsgFlags::MSG_NOSIGNAL;
        if sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&answer)], rights, flags, None).is_err() {
            return;
        }
    }
}

/// Opens a node after looking at it: a USB node, and a phone's.
fn open([bus, device]: Node) -> io::Result<File> {
    let path = format!("/dev/bus/usb/{bus:03}/{device:03}");
    let flags = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let node = std::fs::symlink_metadata(&path)?;
    if !node.file_type().is_char_device() || nix::sys::stat::major(node.rdev()) != USB_MAJOR {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)?;
    let mut descriptor = [0; 18];
    file.read_exact(&mut descriptor)?;
    // Source: USB 2.0 table 9-8 (idVendor at 8, idProduct at 10); usbfs gives the device descriptor as it came.
    let [_, _, _, _, _, _, _, _, v0, v1, p0, p1, ..] = descriptor;
    if iosmux_usb::is_phone(u16::from_le_bytes([v0, v1]), u16::from_le_bytes([p0, p1])) {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// A message and the file that came with it.
#[allow(unsafe_code, reason = "files that are passed come as numbers")]
fn receive(socket: &OwnedFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut file = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(files) = control {
            // SAFETY: the kernel made these descriptors for us with this message, and nobody else has seen them.
            file = files.first().map(|file| unsafe { OwnedFd::from_raw_fd(*file) });
        }
    }
    Ok((message.bytes, file))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (ours, theirs) = pair.unwrap();
        setsockopt(&ours, ReceiveTimeout, &TimeVal::seconds(PATIENCE)).unwrap();
        (ours, theirs)
    }

    /// The process's own loop, on a thread.
    fn opener() -> Opener {
        let (ours, theirs) = pair();
        std::thread::spawn(move || serve(&theirs));
        Opener { socket: Mutex::new(ours), pid: 0 }
    }

    fn pass(socket: &OwnedFd, node: Node, file: &impl AsRawFd) {
        let numbers = [file.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&numbers)];
        let answer = answer(node, 0);
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&answer)], &rights, MsgFlags::empty(), None)
            .unwrap();
    }

    #[test]
    fn a_node_that_is_not_there_is_an_error_of_the_system() {
        let opener = opener();
        for _ in 0..3 {
            assert_eq!(opener.open(255, 255).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn an_opener_that_has_ended_is_named() {
        let (ours, theirs) = pair();
        drop(theirs);
        let opener = Opener { socket: Mutex::new(ours), pid: 0 };
        assert!(opener.open(1, 1).is_err());
    }

    #[test]
    fn a_node_that_comes_too_late_is_closed_and_never_taken_for_another() {
        let (ours, theirs) = pair();
        let opener = Opener { socket: Mutex::new(ours), pid: 0 };
        let (mut late, node) = io::pipe().unwrap();
        pass(&theirs, [1, 4], &node);
        drop(node);
        pass(&theirs, [1, 5], &File::open("/proc/self/status").unwrap());
        let mut text = String::new();
        File::from(opener.open(1, 5).unwrap()).read_to_string(&mut text).unwrap();
        assert!(text.starts_with("Name:"), "{text}");
        assert_eq!(late.read(&mut [0]).unwrap(), 0, "nobody has the other end any more");
    }
}
