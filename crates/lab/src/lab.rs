//! The namespaces, and everything that a desk does to their cables.

use std::net::Ipv6Addr;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use rtnetlink::packet_route::link::In6AddrGenMode;

use crate::address::{self, Detected};
use crate::error::LabError;
use crate::link::{self, FarEnd, Netlink};
use crate::mac::{self, Mac};
use crate::namespace::Namespace;
use crate::settle;

/// The host's bridge.
pub const BRIDGE: &str = "iosmux0";

/// One end of the lab, as the host's bridge sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The VM.
    Vm,
    /// A phone, counted from 0 as in [`Lab::phones`].
    Phone(usize),
}

/// The phone's or the VM's place on the link.
#[derive(Debug)]
pub struct Station {
    /// Where its programs run. The host's port bears the namespace's name.
    pub namespace: Namespace,
    /// The name of its interface on the link.
    pub interface: &'static str,
    /// The index of that interface: the scope of link-local addresses. Each plug gives a new one.
    pub index: u32,
    /// How often it was plugged in.
    plugs: u16,
    mac: Mac,
}

/// What bringing the link up gave.
#[derive(Debug, Clone, Copy)]
pub struct LinkUp {
    /// The VM's link-local address.
    pub vm: Ipv6Addr,
    /// The longest time that duplicate-address detection took.
    pub detection: Duration,
}

/// The namespaces. Dropping it removes them and everything in them.
#[derive(Debug)]
pub struct Lab {
    /// The phones, in the namespaces `phone`, `phone2`, …
    pub phones: Vec<Station>,
    /// The machine that uses the phones.
    pub vm: Station,
    /// The machine with the cables.
    pub host: Namespace,
}

impl Lab {
    /// Builds the namespaces and the cables between them. The ends in the phones and the VM stay down.
    pub async fn build(phones: u16) -> Result<Self, LabError> {
        let host = Namespace::new("host").await?;
        host.run(|| async {
            Netlink::open()?.loopback_up().await?;
            make_bridge().await
        })
        .await??;
        let vm = station(&host, "vm".to_owned(), "eth0", mac::vm_port(1), mac::VM).await?;
        let mut stations = Vec::with_capacity(usize::from(phones));
        for number in 1..=phones {
            let name = if number == 1 { "phone".to_owned() } else { format!("phone{number}") };
            let port = mac::phone_port(number, 1);
            stations.push(station(&host, name, "ncm0", port, mac::phone(port)).await?);
        }
        Ok(Self { phones: stations, vm, host })
    }

    /// Brings the link up everywhere at once and waits for the kernel's duplicate-address detection: one to two seconds.
    pub async fn bring_up(&self) -> Result<LinkUp, LabError> {
        let phones = self.phones.iter().map(Station::bring_up);
        self.up(try_join(self.vm.bring_up(), try_join_all(phones)).await?)
    }

    /// Brings the link up everywhere with addresses that are used at once, as [`Station::bring_up_at_once`] does.
    pub async fn bring_up_at_once(&self) -> Result<LinkUp, LabError> {
        let phones = self.phones.iter().map(Station::bring_up_at_once);
        self.up(try_join(self.vm.bring_up_at_once(), try_join_all(phones)).await?)
    }

    fn up(&self, (vm, phones): (Detected, Vec<Detected>)) -> Result<LinkUp, LabError> {
        let longest = phones.iter().map(|phone| phone.took).fold(vm.took, Duration::max);
        Ok(LinkUp { vm: vm.address, detection: longest })
    }

    /// Pulls a cable: both of its ends are gone when this returns, as when an iPhone's plug is pulled or a VM's network
    /// card is removed. Nobody says goodbye.
    pub async fn unplug(&self, place: Place) -> Result<(), LabError> {
        self.at_port(place, |netlink, port| async move { netlink.remove(port).await }).await
    }

    /// Plugs a cable in that [`Lab::unplug`] pulled. The interface has a new index and stays down; that of a phone also
    /// has a new MAC, hence a new address.
    pub async fn plug(&mut self, place: Place) -> Result<(), LabError> {
        let plugs = self.station(place).plugs.wrapping_add(1);
        let (port, own) = match place {
            Place::Vm => (mac::vm_port(plugs), mac::VM),
            Place::Phone(number) => {
                let number = u16::try_from(number).unwrap_or(u16::MAX).saturating_add(1);
                let port = mac::phone_port(number, plugs);
                (port, mac::phone(port))
            }
        };
        let station = self.station(place);
        let index = cable(&self.host, &station.namespace, station.interface, port, own).await?;
        let station = match place {
            Place::Vm => Some(&mut self.vm),
            Place::Phone(number) => self.phones.get_mut(number),
        };
        if let Some(station) = station {
            (station.index, station.plugs, station.mac) = (index, plugs, own);
        }
        Ok(())
    }

    /// Takes the host's port down: frames stop both ways and the other end loses its carrier. Connections are not told.
    pub async fn port_down(&self, place: Place) -> Result<(), LabError> {
        self.at_port(place, |netlink, port| async move { netlink.down(port).await }).await
    }

    /// Brings the host's port up again after [`Lab::port_down`].
    pub async fn port_up(&self, place: Place) -> Result<(), LabError> {
        self.at_port(place, |netlink, port| async move { netlink.up(port).await }).await
    }

    /// Removes the host's bridge. The ports stay, and all ends keep their carrier: frames go nowhere.
    pub async fn remove_bridge(&self) -> Result<(), LabError> {
        let remove = || async { Netlink::open()?.remove(link::index(BRIDGE)?).await };
        self.host.run(remove).await?
    }

    /// Makes the bridge again after [`Lab::remove_bridge`], with every port that is there.
    pub async fn restore_bridge(&self) -> Result<(), LabError> {
        let ports: Vec<_> = self.stations().map(|one| one.namespace.name().to_owned()).collect();
        let restore = move || async move {
            make_bridge().await?;
            let (netlink, bridge) = (Netlink::open()?, link::index(BRIDGE)?);
            for port in ports.iter().filter_map(|name| link::index(name).ok()) {
                netlink.attach(port, bridge).await?;
            }
            Ok(())
        };
        self.host.run(restore).await?
    }

    /// Waits until no connection is left in the lab, for a second at most: the kernel keeps a namespace for as long as a
    /// connection in it retries, and without the bridge each of them would for minutes.
    pub async fn settle(&self) {
        let waits = self.namespaces().map(|namespace| async { namespace.run(settle::connections).await? });
        if let Err(error) = try_join_all(waits).await {
            tracing::debug!(%error, "the lab is taken down with open connections");
        }
    }

    /// Every namespace with its name, the host's first.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        std::iter::once(&self.host).chain(self.stations().map(|station| &station.namespace))
    }

    fn stations(&self) -> impl Iterator<Item = &Station> {
        std::iter::once(&self.vm).chain(&self.phones)
    }

    /// The station at a place.
    ///
    /// # Panics
    /// When there is no such phone: a mistake in a test.
    pub fn station(&self, place: Place) -> &Station {
        match place {
            Place::Vm => &self.vm,
            Place::Phone(number) => &self.phones[number],
        }
    }

    /// Does something to the host's port of a cable.
    async fn at_port<F, Fut>(&self, place: Place, job: F) -> Result<(), LabError>
    where
        F: FnOnce(Netlink, u32) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), LabError>> + 'static,
    {
        let name = self.station(place).namespace.name().to_owned();
        self.host.run(move || async move { job(Netlink::open()?, link::index(&name)?).await }).await?
    }
}

impl Station {
    /// Brings the interface up and waits for the kernel's duplicate-address detection: one to two seconds.
    ///
    /// Fails when somebody else has the address, or after 10 s.
    pub async fn bring_up(&self) -> Result<Detected, LabError> {
        let index = self.index;
        self.namespace.run(move || address::bring_up(index)).await?
    }

    /// Brings the interface up with the same address, used at once: for tests that replug often. The kernel may take up to
    /// a second until it has seen the carrier.
    pub async fn bring_up_at_once(&self) -> Result<Detected, LabError> {
        let (index, address) = (self.index, self.address());
        self.namespace.run(move || address::bring_up_at_once(index, address)).await?
    }

    /// Its link-local address, once its interface is up.
    pub fn address(&self) -> Ipv6Addr {
        mac::link_local(self.mac)
    }
}

/// Makes the bridge in the calling thread's namespace. It has no address.
async fn make_bridge() -> Result<(), LabError> {
    let netlink = Netlink::open()?;
    netlink.add_bridge(BRIDGE, mac::BRIDGE).await?;
    let bridge = link::index(BRIDGE)?;
    netlink.address_generation(bridge, In6AddrGenMode::None).await?;
    netlink.up(bridge).await
}

/// A new namespace with one interface, cabled to a port of the host's bridge that bears the namespace's name.
async fn station(
    host: &Namespace,
    name: String,
    interface: &'static str,
    port: Mac,
    mac: Mac,
) -> Result<Station, LabError> {
    let namespace = Namespace::new(name).await?;
    namespace.run(|| async { Netlink::open()?.loopback_up().await }).await??;
    let index = cable(host, &namespace, interface, port, mac).await?;
    Ok(Station { namespace, interface, index, plugs: 1, mac })
}

/// Lays a cable to a port of the host's bridge, and gives the index of its far end.
async fn cable(
    host: &Namespace,
    namespace: &Namespace,
    interface: &'static str,
    port_mac: Mac,
    mac: Mac,
) -> Result<u32, LabError> {
    let (name, far_namespace) = (namespace.name().to_owned(), namespace.raw_fd());
    let near = move || async move {
        let netlink = Netlink::open()?;
        netlink.add_cable(&name, port_mac, FarEnd { name: interface, mac, namespace: far_namespace }).await?;
        let port = link::index(&name)?;
        netlink.address_generation(port, In6AddrGenMode::None).await?;
        // Without a bridge, which a test may have removed, the port waits for the next one.
        if let Ok(bridge) = link::index(BRIDGE) {
            netlink.attach(port, bridge).await?;
        }
        netlink.up(port).await
    };
    host.run(near).await??;
    let far = move || async move {
        let index = link::index(interface)?;
        // Whatever the machine's default is: a phone's address is made from its MAC (protocol.md §1.7).
        Netlink::open()?.address_generation(index, In6AddrGenMode::Eui64).await?;
        Ok(index)
    };
    namespace.run(far).await?
}
