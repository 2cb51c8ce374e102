//! The netlink requests of the lab, in the namespace of the calling thread.

use std::os::fd::RawFd;

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

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
    /// Opens the socket; its driver ends with the calling runtime.
    pub(crate) fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().context("open a netlink socket")?;
        tokio::task::spawn_local(connection);
        Ok(Self(handle))
    }

    /// Uses the socket that `handle` stands for.
    pub(crate) fn over(handle: Handle) -> Self {
        Self(handle)
    }

    /// Brings `lo` up.
    pub(crate) async fn loopback_up(&self) -> Result<()> {
        self.up(index("lo")?).await.context("bring lo up")
    }

    /// Adds a bridge that forwards at once. Its address is given: else it would follow that of its ports.
    pub(crate) async fn add_bridge(&self, name: &str, mac: Mac) -> Result<()> {
        let bridge = LinkMessageBuilder::<LinkBridge>::new(name)
            .stp_state(BridgeStpState::Disabled)
            .address(mac.to_vec())
            .build();
        self.0.link().add(bridge).execute().await.with_context(|| format!("add the bridge {name}"))
    }

    /// Adds a pair of veth devices here.
    pub(crate) async fn add_veth_pair(&self, name: &str, peer: &str) -> Result<()> {
        let pair = LinkVeth::new(name, peer).build();
        self.0.link().add(pair).execute().await.with_context(|| format!("add the veth pair {name}"))
    }

    /// Adds a cable: one end here, one in another namespace.
    pub(crate) async fn add_cable(&self, name: &str, mac: Mac, far: FarEnd<'_>) -> Result<()> {
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
        self.0.link().add(pair).execute().await.with_context(|| format!("add the cable {name}"))
    }

    /// Makes an interface a port of a bridge.
    pub(crate) async fn attach(&self, port: u32, bridge: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(port).controller(bridge).build();
        self.0
            .link()
            .set(message)
            .execute()
            .await
            .with_context(|| format!("attach interface {port} to the bridge"))
    }

    /// Chooses how the kernel makes link-local addresses on an interface. By netlink: /proc/sys may be read-only.
    pub(crate) async fn address_generation(&self, index: u32, mode: In6AddrGenMode) -> Result<()> {
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
        let message = LinkUnspec::new_with_index(index)
            .interface_family(AddressFamily::Unspec)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![inet6]))
            .build();
        self.0
            .link()
            .set(message)
            .execute()
            .await
            .with_context(|| format!("set the address generation of interface {index}"))
    }

    /// Brings an interface up.
    pub(crate) async fn up(&self, index: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.0.link().set(message).execute().await.with_context(|| format!("bring interface {index} up"))
    }
}

/// The index of an interface of the calling thread's namespace.
pub(crate) fn index(name: &str) -> Result<u32> {
    if_nametoindex(name).with_context(|| format!("find the interface {name}"))
}
