//! Links on the running kernel, in network namespaces of their own.
#![cfg(feature = "net-tests")]

mod nf_tables;

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use iosmux_bridge::link::Links;
use iosmux_bridge::ports::{Changes as _, LinkControl as _, LinkError, PortState};
use iosmux_lab::Namespace;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::link::BridgeStpState;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};
use tokio::time::timeout;

/// Lower than any that the kernel chooses: those are random.
const LOWEST: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HIGH: [u8; 6] = [2, 0xff, 0, 0, 0, 1];

/// Runs a test in a namespace of its own.
async fn within<F, Fut>(test: F)
where
    F: FnOnce(Desk) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let namespace = Namespace::new("host").await.unwrap();
    namespace.run(move || async move { test(Desk::new()).await }).await.unwrap();
}

/// What somebody at the computer does.
struct Desk {
    links: Links,
    handle: Handle,
}

impl Desk {
    fn new() -> Self {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        Self { links: Links::open().unwrap(), handle }
    }

    /// A bridge whose MAC address nobody has chosen.
    async fn bridge(&self, name: &str) -> u32 {
        self.handle.link().add(LinkBridge::new(name).up().build()).execute().await.unwrap();
        if_nametoindex(name).unwrap()
    }

    /// As a phone's interface is, before we join it: up, with the address that the kernel makes.
    async fn netdev(&self, name: &str, mac: [u8; 6]) -> u32 {
        let link = self.handle.link();
        let far = format!("{name}-far");
        link.add(LinkVeth::new(name, &far).address(mac.to_vec()).build()).execute().await.unwrap();
        let index = if_nametoindex(name).unwrap();
        for end in [if_nametoindex(far.as_str()).unwrap(), index] {
            link.set(LinkUnspec::new_with_index(end).up().build()).execute().await.unwrap();
        }
        index
    }

    async fn delete(&self, index: u32) {
        self.handle.link().del(index).execute().await.unwrap();
    }

    async fn addresses(&self, index: u32) -> usize {
        let found = self.handle.address().get().set_link_index_filter(index).execute();
        found.try_collect::<Vec<_>>().await.unwrap().len()
    }
}

#[tokio::test]
async fn a_bridge_is_told_with_what_delays_its_ports() {
    within(|desk| async move {
        assert_eq!(desk.links.bridge("br0").await.unwrap(), None);
        let index = desk.bridge("br0").await;
        let bridge = desk.links.bridge("br0").await.unwrap().unwrap();
        assert_eq!((bridge.index, bridge.up, bridge.stp), (index, true, false));
        assert_eq!(bridge.forward_delay, Duration::from_secs(15));

        let stp = LinkBridge::new("br1").stp_state(BridgeStpState::KernelStp).forward_delay(400).build();
        desk.handle.link().add(stp).execute().await.unwrap();
        let bridge = desk.links.bridge("br1").await.unwrap().unwrap();
        assert_eq!((bridge.up, bridge.stp, bridge.forward_delay), (true, true, Duration::from_secs(4)));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_bridge_is_named() {
    within(|desk| async move {
        desk.netdev("eth0", LOWEST).await;
        assert!(matches!(desk.links.bridge("eth0").await, Err(LinkError::NoBridge)));
        for name in ["", "much-too-long-for-an-interface", "../br0", "no such"] {
            assert_eq!(desk.links.bridge(name).await.unwrap(), None, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_port_joins_without_addresses_and_the_bridge_keeps_its_mac() {
    within(|desk| async move {
        let bridge = desk.bridge("br0").await;
        let high = desk.netdev("high", HIGH).await;
        desk.links.attach(high, bridge, false).await.unwrap();
        let before = desk.links.bridge("br0").await.unwrap().unwrap().mac;

        let port = desk.netdev("low", LOWEST).await;
        assert_ne!(desk.addresses(port).await, 0, "the kernel has made one");
        desk.links.attach(port, bridge, true).await.unwrap();
        assert_eq!(desk.links.bridge("br0").await.unwrap().unwrap().mac, before);

        let joined = desk.links.port(port).await.unwrap().unwrap();
        assert_eq!((joined.name.as_str(), joined.up, joined.master), ("low", true, Some(bridge)));
        assert_eq!(joined.state, Some(PortState::Forwarding));
        assert!(joined.isolated && joined.no_addresses);
        assert_eq!(desk.addresses(port).await, 0);

        // Once more is nothing new, and another isolation is only that.
        desk.links.attach(port, bridge, true).await.unwrap();
        assert_eq!(desk.links.port(port).await.unwrap().unwrap(), joined);
        desk.links.attach(port, bridge, false).await.unwrap();
        assert!(!desk.links.port(port).await.unwrap().unwrap().isolated);
    })
    .await;
}

/// What the test above is about: without the pin the kernel's bridge follows its lowest port.
#[tokio::test]
async fn a_bridge_that_is_left_alone_follows_its_lowest_port() {
    within(|desk| async move {
        let bridge = desk.bridge("br0").await;
        for (name, mac) in [("high", HIGH), ("low", LOWEST)] {
            let port = desk.netdev(name, mac).await;
            let join = LinkUnspec::new_with_index(port).controller(bridge).build();
            desk.handle.link().set(join).execute().await.unwrap();
            assert_eq!(desk.links.bridge("br0").await.unwrap().unwrap().mac, mac);
        }
    })
    .await;
}

#[tokio::test]
async fn a_port_leaves_and_the_bridge_is_as_before() {
    within(|desk| async move {
        let bridge = desk.bridge("br0").await;
        let port = desk.netdev("phone", LOWEST).await;
        desk.links.attach(port, bridge, true).await.unwrap();
        for _ in 0..2 {
            desk.links.detach(port).await.unwrap();
            let left = desk.links.port(port).await.unwrap().unwrap();
            assert_eq!((left.master, left.state, left.up), (None, None, false));
        }
        desk.delete(port).await;
        desk.links.detach(port).await.unwrap();
        assert_eq!(desk.links.port(port).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn what_is_gone_is_gone() {
    within(|desk| async move {
        let bridge = desk.bridge("br0").await;
        let port = desk.netdev("phone", LOWEST).await;
        assert!(matches!(desk.links.attach(4711, bridge, false).await, Err(LinkError::Gone)));
        desk.delete(bridge).await;
        assert!(matches!(desk.links.attach(port, bridge, false).await, Err(LinkError::Gone)));
    })
    .await;
}

#[tokio::test]
async fn a_port_moves_to_the_bridge_that_was_made_again() {
    within(|desk| async move {
        let port = desk.netdev("phone", LOWEST).await;
        for _ in 0..2 {
            let bridge = desk.bridge("br0").await;
            desk.links.attach(port, bridge, false).await.unwrap();
            assert_eq!(desk.links.port(port).await.unwrap().unwrap().master, Some(bridge));
            desk.delete(bridge).await;
            assert_eq!(desk.links.port(port).await.unwrap().unwrap().master, None);
        }
    })
    .await;
}

#[tokio::test]
async fn changes_of_bridges_and_ports_nudge() {
    within(|desk| async move {
        let mut changes = desk.links.changes().unwrap();
        let bridge = desk.bridge("br0").await;
        nudged(&mut changes, "a bridge").await;
        let port = desk.netdev("phone", LOWEST).await;
        nudged(&mut changes, "a netdev").await;
        desk.links.attach(port, bridge, false).await.unwrap();
        nudged(&mut changes, "a port").await;
        desk.delete(bridge).await;
        nudged(&mut changes, "a bridge that is gone").await;
        let quiet = timeout(Duration::from_millis(200), async {
            loop {
                changes.changed().await.unwrap();
            }
        });
        quiet.await.unwrap_err();
    })
    .await;
}

async fn nudged(changes: &mut impl iosmux_bridge::ports::Changes, about: &str) {
    let heard: Result<io::Result<()>, _> = timeout(Duration::from_secs(2), changes.changed()).await;
    heard.unwrap_or_else(|_| panic!("nothing was heard of {about}")).unwrap();
}

/// A cable to somebody: what the veth pair of a VM is.
#[tokio::test]
async fn an_interface_of_another_kind_is_a_port_too() {
    within(|desk| async move {
        let bridge = desk.bridge("br0").await;
        desk.handle.link().add(LinkVeth::new("vm", "eth0").build()).execute().await.unwrap();
        let port = if_nametoindex("vm").unwrap();
        desk.links.attach(port, bridge, false).await.unwrap();
        let joined = desk.links.port(port).await.unwrap().unwrap();
        assert_eq!((joined.up, joined.state), (true, Some(PortState::Disabled)), "its other end is down");
    })
    .await;
}

/// The frames of a bridge pass the host's chains here: br_netfilter is built in, and on in each new namespace.
#[tokio::test]
async fn a_forward_chain_that_drops_is_named() {
    within(|desk| async move {
        assert_eq!(desk.links.dropped().await, None);
        nf_tables::forward(nf_tables::ACCEPT).unwrap();
        assert_eq!(desk.links.dropped().await, None);
        nf_tables::forward(nf_tables::DROP).unwrap();
        assert_eq!(desk.links.dropped().await.unwrap().chain, "ip6 filter FORWARD has policy drop");
    })
    .await;
}
