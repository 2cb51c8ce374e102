//! A process that opens phones' nodes for us and can do nothing else.
//!
//! After each enumeration the node belongs to root again, and a one-off `sudo iosmux-bridge up` has no udev rule that would
//! give it to the caller; where usbmuxd is installed it is usbmuxd's, and not root's. So a child with CAP_DAC_OVERRIDE, and
//! without any other right, opens nodes of phones and passes them over a socket. It ends when the socket does.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

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

/// The error that the open had, or 0.
type Answer = [u8; 4];

/// The process that opens nodes. It ends when this is dropped.
#[derive(Debug)]
pub struct Opener {
    socket: OwnedFd,
    pid: u32,
    patience: TimeVal,
}

impl Opener {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens the node of a phone; the error is the one that the open had, `InvalidInput` when it is no phone's, `WouldBlock`
    /// when it took too long.
    ///
    /// Each request brings the socket for its answer: one that comes too late is for nobody, and a node that takes long delays
    /// no other.
    pub(crate) fn open(&self, bus: u8, device: u8) -> io::Result<OwnedFd> {
        let (ours, theirs) = pair()?;
        setsockopt(&ours, ReceiveTimeout, &self.patience)?;
        let request: Node = [bus, device];
        pass(&self.socket, &request, Some(&theirs))?;
        drop(theirs);
        let mut answer = Answer::default();
        let (length, file) = receive(&ours, &mut answer)?;
        match (i32::from_ne_bytes(answer), file) {
            _ if length != answer.len() => Err(io::Error::other(ENDED)),
            (0, Some(file)) => Ok(file),
            (0, None) => Err(io::Error::other(ENDED)),
            (code, _) => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Starts it; `restrict` is done in it first.
pub(super) fn start(restrict: impl FnOnce() -> Result<(), Error>) -> Result<Opener, Error> {
    let failed = |action| move |error: Errno| Error::System { action, source: error.into() };
    let (ours, theirs) = pair().map_err(failed("making a socket pair"))?;
    match fork_once().map_err(failed("starting the process that opens USB nodes"))? {
        ForkResult::Parent { child } => {
            let pid = child.as_raw().unsigned_abs();
            Ok(Opener { socket: ours, pid, patience: TimeVal::seconds(PATIENCE) })
        }
        ForkResult::Child => {
            drop(ours);
            // What asks the program to end is for the parent, which may need a node once more to restore the phone: Ctrl-C at
            // the terminal, and the signal of a service manager to all of a service's processes.
            let restricted = setsid().is_ok() && ignore_ends() && restrict().is_ok();
            if restricted {
                serve(&theirs, open);
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

/// Answers until the other end is closed, each request in a thread: the kernel opens the node of a phone that leaves a request
/// unanswered after seconds only.
fn serve(socket: &OwnedFd, open: impl Fn(Node) -> io::Result<File> + Clone + Send + 'static) {
    let mut request = Node::default();
    while let Ok((2, Some(asker))) = receive(socket, &mut request) {
        let open = open.clone();
        let answer = move || {
            let opened = open(request);
            let code = match &opened {
                Ok(_) => 0,
                Err(error) => error.raw_os_error().unwrap_or(Errno::EINVAL as i32),
            };
            // Who asked may have given up.
            let _ = pass(&asker, &code.to_ne_bytes(), opened.as_ref().ok());
        };
        // Where there is none, the asker's socket is closed.
        drop(std::thread::Builder::new().spawn(answer));
    }
}

/// A message, and a file with it.
fn pass(socket: &OwnedFd, bytes: &[u8], file: Option<&impl AsRawFd>) -> nix::Result<()> {
    let files: Vec<_> = file.iter().map(|file| file.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&files)];
    let rights = if files.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
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
    use std::io::PipeWriter;
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    const SLOW: Node = [1, 4];

    /// The process's own loop, on a thread.
    fn opener(patience: TimeVal, open: impl Fn(Node) -> io::Result<File> + Clone + Send + 'static) -> Opener {
        let (ours, theirs) = pair().unwrap();
        std::thread::spawn(move || serve(&theirs, open));
        Opener { socket: ours, pid: 0, patience }
    }

    /// Opens something for each node, and for [`SLOW`] this pipe, once `end` is told.
    fn slow(
        pipe: PipeWriter,
    ) -> (impl Fn(Node) -> io::Result<File> + Clone + Send + 'static, mpsc::Sender<()>) {
        let (end, ends) = mpsc::channel();
        let slow = Arc::new(Mutex::new(Some((ends, pipe))));
        let open = move |node| {
            if node != SLOW {
                return File::open("/proc/self/status");
            }
            let (ends, pipe) = slow.lock().unwrap().take().unwrap();
            ends.recv().unwrap();
            Ok(File::from(OwnedFd::from(pipe)))
        };
        (open, end)
    }

    #[test]
    fn a_node_that_is_not_there_is_an_error_of_the_system() {
        let opener = opener(TimeVal::seconds(600), open);
        for _ in 0..3 {
            assert_eq!(opener.open(255, 255).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn an_opener_that_has_ended_is_named() {
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        let opener = Opener { socket: ours, pid: 0, patience: TimeVal::seconds(600) };
        assert!(opener.open(1, 1).is_err());
    }

    #[test]
    fn a_node_that_takes_long_delays_no_other() {
        let (open, end) = slow(io::pipe().unwrap().1);
        let opener = opener(TimeVal::seconds(600), open);
        let (ours, theirs) = pair().unwrap();
        pass(&opener.socket, &SLOW, Some(&theirs)).unwrap();
        opener.open(1, 5).unwrap();
        end.send(()).unwrap();
        let mut answer = Answer::default();
        assert!(receive(&ours, &mut answer).unwrap().1.is_some());
    }

    #[test]
    fn a_node_that_comes_too_late_is_closed_and_never_taken_for_another() {
        let (mut late, node) = io::pipe().unwrap();
        let (open, end) = slow(node);
        let mut opener = opener(TimeVal::milliseconds(10), open);
        assert_eq!(opener.open(SLOW[0], SLOW[1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        end.send(()).unwrap();
        opener.patience = TimeVal::seconds(600);
        let mut text = String::new();
        File::from(opener.open(1, 5).unwrap()).read_to_string(&mut text).unwrap();
        assert!(text.starts_with("Name:"), "{text}");
        assert_eq!(late.read(&mut [0]).unwrap(), 0, "nobody has the other end any more");
    }
}
