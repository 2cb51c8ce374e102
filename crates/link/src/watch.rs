//! The link-local address of one interface, as the kernel tells it (rtnetlink).

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::LinkFlags;

use crate::netlink::{Netlink, News, address_of, name_of, usable_link_local};

/// Where an interface can be reached: a link-local address and the index that gives it its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface's index.
    pub index: u32,
    /// The usable (not tentative) link-local address.
    pub address: Ipv6Addr,
}

impl LinkAddress {
    /// The socket address of a port at this address.
    #[must_use]
    pub fn socket(self, port: u16) -> SocketAddr {
        SocketAddr::V6(SocketAddrV6::new(self.address, port, 0, self.index))
    }
}

/// Why the kernel can't be asked about the link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No netlink socket.
    #[error("a netlink socket for address changes can't be opened: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused a question.
    #[error("the kernel did not tell about interface {interface}: {source}")]
    Request {
        /// The interface asked about.
        interface: String,
        /// What netlink said.
        source: Box<rtnetlink::Error>,
    },
    /// The netlink socket ended.
    #[error("the netlink socket closed; address changes are no longer seen")]
    Closed,
}

/// Follows the link-local address of an interface by name, through re-enumeration.
pub struct LinkWatch {
    interface: String,
    netlink: Netlink,
    current: Option<LinkAddress>,
    /// Whether something was heard since the kernel was last asked.
    stale: bool,
}

impl LinkWatch {
    /// Subscribes to changes, then asks for the state, so that none is missed in between.
    ///
    /// The interface need not exist yet. The socket belongs to the calling thread's network namespace.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn new(interface: &str) -> Result<LinkWatch, LinkError> {
        let (interface, netlink) = (interface.to_owned(), Netlink::open()?);
        let mut watch = LinkWatch { interface, netlink, current: None, stale: false };
        watch.current = watch.ask().await?;
        Ok(watch)
    }

    /// The address now, if there is a usable one.
    #[must_use]
    pub fn current(&self) -> Option<LinkAddress> {
        self.current
    }

    /// Waits for the next change and returns the state after it; cancelling loses nothing.
    ///
    /// An address that goes and comes back is two changes, even when both have happened already.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn changed(&mut self) -> Result<Option<LinkAddress>, LinkError> {
        loop {
            if self.stale {
                let now = self.ask().await?;
                // From one address to another: the old one goes first.
                let replaced = self.current.is_some() && now.is_some() && now != self.current;
                self.stale = replaced;
                if now != self.current {
                    self.current = if replaced { None } else { now };
                    return Ok(self.current);
                }
            }
            let message = self.netlink.next().await.ok_or(LinkError::Closed)?;
            self.stale = true;
            if self.current.is_some_and(|current| takes_away(&message, current)) {
                self.current = None;
                return Ok(None);
            }
        }
    }

    async fn ask(&mut self) -> Result<Option<LinkAddress>, LinkError> {
        let Some(index) = self.running_index().await? else { return Ok(None) };
        let addresses = self.netlink.addresses(Some(index)).await;
        let addresses = addresses.map_err(|error| self.request(error))?;
        let address = addresses.iter().find_map(usable_link_local);
        Ok(address.map(|address| LinkAddress { index, address }))
    }

    /// The index of the interface while it is up.
    async fn running_index(&mut self) -> Result<Option<u32>, LinkError> {
        let links = self.netlink.links().await;
        let links = links.map_err(|error| self.request(error))?;
        let named = links.iter().find(|link| name_of(link) == Some(self.interface.as_str()));
        Ok(named.filter(|link| link.header.flags.contains(LinkFlags::Up)).map(|link| link.header.index))
    }

    fn request(&self, source: rtnetlink::Error) -> LinkError {
        LinkError::Request { interface: self.interface.clone(), source: Box::new(source) }
    }
}

/// Whether this message says that `current` is gone.
fn takes_away(message: &News, current: LinkAddress) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(gone)) => {
            gone.header.index == current.index && address_of(gone) == Some(current.address)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(gone)) => {
            gone.header.index == current.index
        }
        _ => false,
    }
}
