//! Links by rtnetlink. Never by /proc/sys, which is read-only under a hardened unit, and never by name once one is found.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use nix::errno::Errno;
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgePortState, BridgeStpState, In6AddrGenMode, InfoBridge, InfoBridgePort,
    InfoData, InfoKind, InfoPortData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{Handle, LinkBridgePort, LinkUnspec, MulticastGroup};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::netfilter;
use crate::ports::{Bridge, Changes, Dropped, LONGEST, LinkControl, LinkError, Port, PortState};

/// The kernel tells times in clock ticks for users, of which there are 100 a second.
const TICK: Duration = Duration::from_millis(10);
/// Interface names have 15 bytes at most. Source: the kernel's include/uapi/linux/if.h (IFNAMSIZ).
const MAX_NAME: usize = 15;

/// The links of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Links {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Links {
    /// Opens a netlink socket; its driver runs in the calling runtime.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Gives an interface a MAC address.
    pub(crate) async fn set_mac(&self, index: u32, mac: [u8; 6]) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).address(mac.to_vec()).build();
        self.set("giving an interface its MAC address", message).await
    }

    async fn link(&self, index: u32) -> Result<Option<LinkMessage>, LinkError> {
        let found = self.handle.link().get().match_index(index).execute();
        one("looking for an interface", found).await
    }

    async fn must_be(&self, index: u32) -> Result<LinkMessage, LinkError> {
        self.link(index).await?.ok_or(LinkError::Gone)
    }

    async fn set(&self, action: &'static str, message: LinkMessage) -> Result<(), LinkError> {
        in_time(action, self.handle.link().set(message).execute()).await
    }

    /// The kernel makes no address on it, and forgets those that it made or was given.
    async fn without_addresses(&self, port: &LinkMessage) -> Result<(), LinkError> {
        let index = port.header.index;
        if !has_no_addresses(port) {
            let none = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
            let message = LinkUnspec::new_with_index(index)
                .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![none]))
                .build();
            self.set("keeping IPv6 addresses off the port", message).await?;
        }
        let action = "looking for addresses of the port";
        let found = self.handle.address().get().set_link_index_filter(index).execute();
        for address in in_time(action, found.try_collect::<Vec<_>>()).await? {
            let action = "removing an address from the port";
            match in_time(action, self.handle.address().del(address).execute()).await {
                // Another one has removed it meanwhile.
                Ok(()) | Err(LinkError::Gone) => {}
                Err(LinkError::Io { source, .. })
                    if source.raw_os_error() == Some(Errno::EADDRNOTAVAIL as i32) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A bridge follows the lowest MAC address of its ports until somebody has set one: it is set to what it is, so that
    /// those who know the bridge by it know it still.
    async fn pin_mac(&self, bridge: u32) -> Result<(), LinkError> {
        let link = self.must_be(bridge).await?;
        let Some(mac) = mac(&link) else { return Ok(()) };
        let message = LinkUnspec::new_with_index(bridge).address(mac.to_vec()).build();
        self.set("keeping the bridge's MAC address", message).await
    }
}

impl LinkControl for Links {
    type Changes = Watch;

    fn changes(&self) -> io::Result<Watch> {
        Watch::open()
    }

    async fn bridge(&self, name: &str) -> Result<Option<Bridge>, LinkError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Ok(None);
        }
        let found = self.handle.link().get().match_name(name.to_owned()).execute();
        let Some(link) = one("looking for the bridge", found).await? else { return Ok(None) };
        bridge(&link).map(Some).ok_or(LinkError::NoBridge)
    }

    async fn port(&self, index: u32) -> Result<Option<Port>, LinkError> {
        Ok(self.link(index).await?.as_ref().and_then(port))
    }

    async fn attach(&self, index: u32, bridge: u32, isolated: bool) -> Result<(), LinkError> {
        let link = self.must_be(index).await?;
        self.without_addresses(&link).await?;
        if master(&link) != Some(bridge) {
            self.pin_mac(bridge).await?;
            let message = LinkUnspec::new_with_index(index).controller(bridge).build();
            self.set("joining the bridge", message).await?;
        }
        let link = self.must_be(index).await?;
        if port_infos(&link).all(|info| *info != InfoBridgePort::Isolated(isolated)) {
            let message = LinkBridgePort::new(index).isolated(isolated).build();
            let action = "setting the port's isolation";
            in_time(action, self.handle.link().set_port(message).execute()).await?;
        }
        if !link.header.flags.contains(LinkFlags::Up) {
            self.set("bringing the port up", LinkUnspec::new_with_index(index).up().build()).await?;
        }
        Ok(())
    }

    async fn detach(&self, index: u32) -> Result<(), LinkError> {
        let Some(link) = self.link(index).await? else { return Ok(()) };
        let mut message = LinkUnspec::new_with_index(index).down();
        if master(&link).is_some() {
            message = message.nocontroller();
        }
        match self.set("leaving the bridge", message.build()).await {
            Err(LinkError::Gone) => Ok(()),
            other => other,
        }
    }

    async fn dropped(&self) -> Option<Dropped> {
        timeout(LONGEST, netfilter::dropped()).await.ok().flatten()
    }
}

type News = Pin<Box<dyn Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send + Sync>>;

/// Follows links.
pub struct Watch {
    news: News,
    connection: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Watch {
    fn open() -> io::Result<Self> {
        let (connection, _, news) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
        let news = Box::pin(news.map(|(message, _)| message));
        Ok(Self { news, connection: tokio::spawn(connection) })
    }
}

impl Changes for Watch {
    async fn changed(&mut self) -> io::Result<()> {
        let ended = || io::Error::other("the netlink socket has ended");
        self.news.next().await.ok_or_else(ended)?;
        // What has come already is told as one.
        while let Some(more) = self.news.next().now_or_never() {
            more.ok_or_else(ended)?;
        }
        Ok(())
    }
}

/// What the kernel says of a bridge; none of another kind of link.
fn bridge(link: &LinkMessage) -> Option<Bridge> {
    if !infos(link).any(|info| *info == LinkInfo::Kind(InfoKind::Bridge)) {
        return None;
    }
    let data = || {
        infos(link).filter_map(|info| {
            if let LinkInfo::Data(InfoData::Bridge(data)) = info { Some(data) } else { None }
        })
    };
    let ticks = data()
        .flatten()
        .find_map(|info| if let InfoBridge::ForwardDelay(ticks) = info { Some(*ticks) } else { None });
    Some(Bridge {
        index: link.header.index,
        mac: mac(link)?,
        up: link.header.flags.contains(LinkFlags::Up),
        stp: data()
            .flatten()
            .any(|info| matches!(info, InfoBridge::StpState(state) if *state != BridgeStpState::Disabled)),
        forward_delay: TICK * ticks.unwrap_or_default(),
    })
}

fn port(link: &LinkMessage) -> Option<Port> {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    Some(Port {
        index: link.header.index,
        name: name?,
        mac: mac(link)?,
        up: link.header.flags.contains(LinkFlags::Up),
        master: master(link),
        state: port_infos(link).find_map(|info| match info {
            InfoBridgePort::State(state) => port_state(*state),
            _ => None,
        }),
        isolated: port_infos(link).any(|info| *info == InfoBridgePort::Isolated(true)),
        no_addresses: has_no_addresses(link),
    })
}

fn port_state(state: BridgePortState) -> Option<PortState> {
    match state {
        BridgePortState::Disabled => Some(PortState::Disabled),
        BridgePortState::Listening => Some(PortState::Listening),
        BridgePortState::Learning => Some(PortState::Learning),
        BridgePortState::Forwarding => Some(PortState::Forwarding),
        BridgePortState::Blocking => Some(PortState::Blocking),
        _ => None,
    }
}

fn infos(link: &LinkMessage) -> impl Iterator<Item = &LinkInfo> {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten()
}

fn port_infos(link: &LinkMessage) -> impl Iterator<Item = &InfoBridgePort> {
    let data = infos(link).filter_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(data)) => Some(data),
        _ => None,
    });
    data.flatten()
}

fn master(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) if *index != 0 => Some(*index),
        _ => None,
    })
}

fn mac(link: &LinkMessage) -> Option<[u8; 6]> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(mac) => mac.as_slice().try_into().ok(),
        _ => None,
    })
}

/// Also where IPv6 is not there at all.
fn has_no_addresses(link: &LinkMessage) -> bool {
    let families = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::AfSpecUnspec(families) => Some(families),
        _ => None,
    });
    let inet6 = families.flatten().filter_map(|family| match family {
        AfSpecUnspec::Inet6(attributes) => Some(attributes),
        _ => None,
    });
    let mut modes = inet6.flatten().filter_map(|attribute| match attribute {
        AfSpecInet6::AddrGenMode(mode) => Some(*mode),
        _ => None,
    });
    modes.all(|mode| mode == In6AddrGenMode::None)
}

/// The link that a question was about; none when there is no such link.
async fn one(
    action: &'static str,
    links: impl Stream<Item = Result<LinkMessage, rtnetlink::Error>>,
) -> Result<Option<LinkMessage>, LinkError> {
    match in_time(action, std::pin::pin!(links).try_next()).await {
        Err(LinkError::Gone) => Ok(None),
        other => other,
    }
}

async fn in_time<T>(
    action: &'static str,
    asked: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, LinkError> {
    match timeout(LONGEST, asked).await {
        Ok(answer) => answer.map_err(|error| link_error(action, error)),
        Err(_) => Err(LinkError::Io { action, source: io::ErrorKind::TimedOut.into() }),
    }
}

fn link_error(action: &'static str, error: rtnetlink::Error) -> LinkError {
    let source = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    };
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENODEV | Errno::ENXIO) => LinkError::Gone,
        Some(Errno::EPERM | Errno::EACCES) => LinkError::Denied { action },
        _ => LinkError::Io { action, source },
    }
}
