//! The netlink requests of the lab, in the namespace of the calling thread.

use std::net::Ipv6Addr;
use std::os::fd::RawFd;

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkMessage,
};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::error::LabError;
use crate::mac::Mac;

/// The end of a cable that lies in another namespace.
pub(crate) struct FarEnd<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: Mac,
    pub(crate) namespace: RawFd,
}

/// A netlink socket of the namespace it was opened in.
#[derive(Clone)]
pub(crate) struct Netlink(Handle);

impl Netlink {
    /// Opens the socket; its driver ends with the calling runtime, or with the last handle.
    pub(crate) fn open() -> Result<Self, LabError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(LabError::Socket)?;
        tokio::task::spawn_local(connection);
        Ok(Self(handle))
    }

    /// Uses the socket that `handle` stands for.
    pub(crate) fn over(handle: Handle) -> Self {
        Self(handle)
    }

    /// Brings `lo` up.
    pub(crate) async fn loopback_up(&self) -> Result<(), LabError> {
        self.up(index("lo")?).await
    }

    /// Adds a bridge that forwards at once. Its address is given: else it would follow that of its ports.
    pub(crate) async fn add_bridge(&self, name: &str, mac: Mac) -> Result<(), LabError> {
        let bridge = LinkMessageBuilder::<LinkBridge>::new(name)
            .stp_state(BridgeStpState::Disabled)
            .address(mac.to_vec())
            .build();
        self.add(bridge, format!("add the bridge {name}")).await
    }

    /// Adds a pair of veth devices here.
    pub(crate) async fn add_veth_pair(&self, name: &str, peer: &str) -> Result<(), LabError> {
        self.add(LinkVeth::new(name, peer).build(), format!("add the veth pair {name}")).await
    }

    /// Adds a cable: one end here, one in another namespace.
    pub(crate) async fn add_cable(&self, name: &str, mac: Mac, far: FarEnd<'_>) -> Result<(), LabError> {
        let far_end = LinkMessageBuilder::<LinkUnspec>::new()
            .name(far.name)
            .address(far.mac.to_vec())
            .setns_by_fd(far.namespace)
            .build();
        let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(name)
            .address(mac.to_vec())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)))
            .build();
        self.add(pair, format!("add the cable {name}")).await
    }

    /// Removes an interface, and the other end of its cable if it has one.
    pub(crate) async fn remove(&self, index: u32) -> Result<(), LabError> {
        let removed = self.0.link().del(index).execute().await;
        removed.map_err(LabError::netlink(format!("remove interface {index}")))
    }

    /// Makes an interface a port of a bridge.
    pub(crate) async fn attach(&self, port: u32, bridge: u32) -> Result<(), LabError> {
        let message = LinkUnspec::new_with_index(port).controller(bridge).build();
        self.set(message, format!("attach interface {port} to the bridge")).await
    }

    /// Chooses how the kernel makes link-local addresses on an interface. By netlink: /proc/sys may be read-only.
    pub(crate) async fn address_generation(&self, index: u32, mode: In6AddrGenMode) -> Result<(), LabError> {
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
        let message = LinkUnspec::new_with_index(index)
            .interface_family(AddressFamily::Unspec)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![inet6]))
            .build();
        self.set(message, format!("set the address generation of interface {index}")).await
    }

    /// Gives an interface a link-local address that is used without asking whether somebody else has it.
    pub(crate) async fn add_undetected(&self, index: u32, address: Ipv6Addr) -> Result<(), LabError> {
        let mut request = self.0.address().add(index, address.into(), 64);
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        let added = request.execute().await;
        added.map_err(LabError::netlink(format!("give interface {index} the address {address}")))
    }

    /// Brings an interface up.
    pub(crate) async fn up(&self, index: u32) -> Result<(), LabError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.set(message, format!("bring interface {index} up")).await
    }

    /// Brings an interface down.
    pub(crate) async fn down(&self, index: u32) -> Result<(), LabError> {
        let message = LinkUnspec::new_with_index(index).down().build();
        self.set(message, format!("bring interface {index} down")).await
    }

    async fn add(&self, message: LinkMessage, doing: String) -> Result<(), LabError> {
        self.0.link().add(message).execute().await.map_err(LabError::netlink(doing))
    }

    async fn set(&self, message: LinkMessage, doing: String) -> Result<(), LabError> {
        self.0.link().set(message).execute().await.map_err(LabError::netlink(doing))
    }
}

/// The index of an interface of the calling thread's namespace.
pub(crate) fn index(name: &str) -> Result<u32, LabError> {
    if_nametoindex(name).map_err(|source| LabError::NoInterface { name: name.to_owned(), source })
}
