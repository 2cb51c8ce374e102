//! The phone's own network interface: a TAP device in its namespace, whose cable is the private NCM function.
//!
//! Its two sides are on two threads. Netlink waits for the kernel's lock for links, and whoever has that lock may wait for a
//! transfer of the phone: the thread with the transfers must not wait for it.

use std::fs::File;
use std::future::pending;
use std::io::{self, Read as _, Write as _};
use std::net::Ipv6Addr;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};

use iosmux_usb::Mac;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkUnspec};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tun::AbstractDevice as _;

/// Its name.
pub(super) const NAME: &str = "ncm0";
/// Bytes of a frame at most, with room for a VLAN tag.
const FRAME: usize = 1518;
/// Bytes of a packet at most. Source: IEEE 802.3.
const MTU: u16 = 1500;

/// No interface.
#[derive(Debug, thiserror::Error)]
#[error("the phone's interface {NAME} can't be {what}: {source}")]
pub struct TapError {
    what: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// What the cable says of itself and hears of the interface.
#[derive(Debug)]
pub(super) struct Carrier {
    /// Whether the host has opened the private function.
    open: watch::Sender<bool>,
    up: watch::Receiver<bool>,
}

/// The interface's end of that.
#[derive(Debug)]
pub(super) struct Socket {
    open: watch::Receiver<bool>,
    up: watch::Sender<bool>,
}

/// Both ends.
pub(super) fn carrier() -> (Carrier, Socket) {
    let ((open, opened), (came_up, up)) = (watch::channel(false), watch::channel(false));
    (Carrier { open, up }, Socket { open: opened, up: came_up })
}

impl Carrier {
    /// Whether the host has opened the private function.
    pub(super) fn set_open(&self, is_open: bool) {
        self.open.send_if_modified(|open| std::mem::replace(open, is_open) != is_open);
    }

    /// Whether the interface takes frames.
    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Until that changes; for ever when nobody can change it any more.
    pub(super) async fn changed(&mut self) {
        if self.up.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

/// The interface as the namespace has it.
#[derive(Debug)]
pub(super) struct Interface {
    netlink: Handle,
    driver: tokio::task::JoinHandle<()>,
    index: u32,
    address: Ipv6Addr,
}

impl Interface {
    /// Makes it, down, in the namespace of the calling thread; it is gone when the file is closed.
    pub(super) async fn open(mac: Mac) -> Result<(Interface, File), TapError> {
        let failed = |what| move |source| TapError { what, source };
        let mut configuration = tun::Configuration::default();
        configuration.layer(tun::Layer::L2).tun_name(NAME).mtu(MTU);
        let made = || -> io::Result<File> {
            let device = tun::create(&configuration).map_err(io_error)?;
            device.set_nonblock()?;
            debug_assert_eq!(device.tun_name().ok().as_deref(), Some(NAME));
            Ok(file_of(device))
        };
        let file = made().map_err(failed("made"))?;
        let index = if_nametoindex(NAME).map_err(|error| failed("found")(error.into()))?;
        let (connection, netlink, _) = rtnetlink::new_connection().map_err(failed("configured"))?;
        let driver = tokio::spawn(connection);
        let interface = Interface { netlink, driver, index, address: mac.link_local() };
        interface
            .set(LinkUnspec::new_with_index(index).address(mac.0.to_vec()).build(), "given its MAC")
            .await?;
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let message = LinkUnspec::new_with_index(index)
            .interface_family(AddressFamily::Unspec)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![inet6]))
            .build();
        interface.set(message, "given its address").await?;
        Ok((interface, file))
    }

    /// Has its cable in while the other thread says so, until that ends: without one it has no address.
    pub(super) async fn follow(self, mut socket: Socket) -> Result<(), TapError> {
        let mut is_up = false;
        while socket.open.wait_for(|open| *open != is_up).await.is_ok() {
            is_up = !is_up;
            self.set_up(is_up).await?;
            socket.up.send_replace(is_up);
        }
        Ok(())
    }

    async fn set_up(&self, up: bool) -> Result<(), TapError> {
        let link = LinkUnspec::new_with_index(self.index);
        self.set(if up { link.up() } else { link.down() }.build(), "brought up or down").await?;
        if up {
            // Nobody else has it: it follows from the phone's own descriptors.
            let mut request = self.netlink.address().add(self.index, self.address.into(), 64).replace();
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            request
                .execute()
                .await
                .map_err(|error| TapError { what: "given its address", source: io::Error::other(error) })?;
        }
        Ok(())
    }

    async fn set(&self, message: LinkMessage, what: &'static str) -> Result<(), TapError> {
        let set = self.netlink.link().set(message).execute().await;
        set.map_err(|error| TapError { what, source: io::Error::other(error) })
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The interface as the cable has it: frames.
#[derive(Debug)]
pub(super) struct Tap {
    file: AsyncFd<File>,
    frame: Vec<u8>,
}

impl Tap {
    /// Takes the interface's file into the runtime of the calling thread.
    pub(super) fn new(file: File) -> Result<Tap, TapError> {
        let file = registered(file).map_err(|source| TapError { what: "awaited", source })?;
        Ok(Tap { file, frame: vec![0; FRAME] })
    }

    /// The next frame of the phone; cancelling loses none.
    pub(super) async fn receive(&mut self) -> io::Result<&[u8]> {
        loop {
            let mut ready = self.file.readable().await?;
            match ready.try_io(|file| file.get_ref().read(&mut self.frame)) {
                Ok(length) => {
                    let length = length?;
                    return Ok(self.frame.get(..length).unwrap_or_default());
                }
                Err(_not_yet) => {}
            }
        }
    }

    /// Another frame, if there is one already.
    pub(super) fn receive_now(&mut self) -> Option<&[u8]> {
        let length = self.file.get_ref().read(&mut self.frame).ok()?;
        self.frame.get(..length)
    }

    /// Gives the phone a frame. An interface that is down, or full, takes none, as a cable loses what nobody reads.
    pub(super) fn send(&self, frame: &[u8]) {
        if let Err(error) = self.file.get_ref().write(frame) {
            tracing::trace!(%error, "a frame was not taken by the phone's interface");
        }
    }
}

/// The device's file, taken out of the crate's hands: its own buffers are as long as packets, not frames.
#[allow(unsafe_code, reason = "the crate gives its file as a number only")]
fn file_of(device: tun::Device) -> File {
    // SAFETY: into_raw_fd gives up the crate's ownership of an open file, and nobody else has seen its number.
    File::from(unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) })
}

/// The file, awaited by the runtime.
#[allow(unsafe_code, reason = "the runtime asks for a promise about the file's number")]
fn registered(file: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: a file keeps its number until it is dropped, and the AsyncFd has it for its own until then.
    Ok(unsafe { AsyncFd::register(file) }?)
}

fn io_error(error: tun::Error) -> io::Error {
    match error {
        tun::Error::Io(source) => source,
        other => io::Error::other(other),
    }
}
