//! A TUN device: `tun` on Linux, `utun` on macOS.
//!
//! The `tun` crate opens it and sets its MTU. It has no IPv6 addresses: those are in `address`. Packets are read and
//! written here, without the copies that the crate makes around utun's header.

use super::address::{self, Clash};
use super::device::{Delivery, PacketDevice};
use super::tun_file::{Framing, TunFile};
use crate::parameters::{Parameters, Role};
use ::tun::AbstractDevice as _;
use std::fs::File;
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::task::{Context, Poll};
use thiserror::Error;

/// One end of a tunnel as a network interface of this computer. It lives as long as this value.
#[derive(Debug)]
pub struct TunDevice {
    name: String,
    file: TunFile,
}

/// No TUN device.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TunError {
    /// The system gives none.
    #[error("a TUN device can't be opened: {source}; {}", hint(source))]
    Open {
        /// What the system said.
        source: io::Error,
    },
    /// It can't be configured.
    #[error("the TUN device {name} can't be given its {what}: {source}")]
    Configure {
        /// Name of the interface.
        name: String,
        /// `address`, for instance.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system doesn't say what a tunnel would take from it.
    #[error("this computer's routes can't be read, so no tunnel can be checked against them: {source}")]
    Routes {
        /// What the system said.
        source: io::Error,
    },
    /// The phone named an address that means something to this computer already: the tunnel would take its traffic.
    #[error(
        "the phone named {address} for {} of the tunnel, which {with}; its traffic would go to the phone, so the \
         tunnel is refused: try again, phones choose other addresses each time; if it stays so, take that address or \
         route away",
        whose(*end)
    )]
    Clash {
        /// The end with the address.
        end: Role,
        /// The address.
        address: Ipv6Addr,
        /// What this computer does with it.
        with: Clash,
    },
}

impl TunDevice {
    /// Makes a device for `role`'s end of a tunnel, with its address, its MTU and a route to the other end alone, and
    /// brings it up. The call blocks for some milliseconds.
    ///
    /// `name` may be a pattern such as `iosmux%d` on Linux; macOS has `utun` and a number only. Without a name the
    /// system chooses one. Needs `CAP_NET_ADMIN` or root.
    ///
    /// The phone chose both addresses. A host on Linux takes none that it has itself, and none to which it has a route
    /// other than a default one ([`TunError::Clash`]): the tunnel's own would win. macOS isn't asked for its routes.
    pub fn open(name: Option<&str>, parameters: &Parameters, role: Role) -> Result<Self, TunError> {
        if role == Role::Host {
            refuse_clash(parameters)?;
        }
        let mut configuration = ::tun::Configuration::default();
        configuration.mtu(parameters.mtu).layer(::tun::Layer::L3);
        if let Some(name) = name {
            configuration.tun_name(name);
        }
        let opened = |error: ::tun::Error| TunError::Open { source: io_error(error) };
        let (device, framing) = create(&mut configuration).map_err(|source| TunError::Open { source })?;
        device.set_nonblock().map_err(|source| TunError::Open { source })?;
        let name = device.tun_name().map_err(opened)?;
        let ends =
            address::Ends { local: parameters.local_address(role), peer: parameters.peer_address(role) };
        address::configure(&name, ends).map_err(|(what, source)| TunError::Configure {
            name: name.clone(),
            what,
            source,
        })?;
        Ok(Self { name, file: TunFile::new(file_of(device), framing) })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PacketDevice for TunDevice {
    fn attach(&mut self) -> io::Result<()> {
        self.file.attach()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut [u8]) -> Poll<io::Result<usize>> {
        self.file.poll_recv(cx, packet)
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        self.file.send(packet)
    }

    fn send_all(&mut self, packets: &mut dyn Iterator<Item = &[u8]>) -> io::Result<u64> {
        self.file.send_all(packets)
    }
}

/// Refuses addresses that mean something to this computer already.
fn refuse_clash(parameters: &Parameters) -> Result<(), TunError> {
    for (end, address) in [(Role::Device, parameters.server_address), (Role::Host, parameters.client_address)]
    {
        let clash = address::clash(address).map_err(|source| TunError::Routes { source })?;
        if let Some(with) = clash {
            return Err(TunError::Clash { end, address, with });
        }
    }
    Ok(())
}

/// Makes the device, such that it takes many segments in one write if the kernel knows how.
fn create(configuration: &mut ::tun::Configuration) -> io::Result<(::tun::Device, Framing)> {
    best(Framing::CHOICES, |framing| {
        #[cfg(target_os = "linux")]
        configuration.platform_config(|linux| {
            linux.vnet_hdr(framing == Framing::Offload);
        });
        tracing::trace!(?framing, "a TUN device is made");
        ::tun::create(configuration).map_err(io_error)
    })
}

/// The first framing that the system takes. It says "invalid argument" to a flag that it does not know.
fn best<T>(choices: &[Framing], mut make: impl FnMut(Framing) -> io::Result<T>) -> io::Result<(T, Framing)> {
    let mut error = io::Error::from(io::ErrorKind::Unsupported);
    for framing in choices.iter().copied() {
        match make(framing) {
            Ok(made) => return Ok((made, framing)),
            Err(unknown) if unknown.kind() == io::ErrorKind::InvalidInput => error = unknown,
            Err(other) => return Err(other),
        }
    }
    Err(error)
}

/// The device's file, taken out of the crate's hands.
#[allow(unsafe_code, reason = "the crate gives its file as a number only")]
fn file_of(device: ::tun::Device) -> File {
    // SAFETY: into_raw_fd gives up the crate's ownership of an open file, and nobody else has seen its number.
    File::from(unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) })
}

fn io_error(error: ::tun::Error) -> io::Error {
    match error {
        ::tun::Error::Io(source) => source,
        other => io::Error::other(other),
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run as root, with CAP_NET_ADMIN, or in a user namespace where /dev/net/tun has mode 0666"
        }
        io::ErrorKind::NotFound => "load the kernel's tun module",
        io::ErrorKind::ResourceBusy => "another program holds the interface of that name",
        _ => "check the interface's name",
    }
}

fn whose(end: Role) -> &'static str {
    match end {
        Role::Device => "its own end",
        Role::Host => "this computer's end",
    }
}
