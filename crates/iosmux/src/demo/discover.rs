//! Finding phones by mDNS, as the VM does.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use anyhow::{Result, bail};
use iosmux_mdns::browser::BrowseEvent;
use iosmux_mdns::io::{BrowseConfig, Browser};
use tokio::time::timeout;

use crate::exit::PhonesMissing;

/// Source: protocol.md §2.
const SERVICE: &str = "_remoted._tcp";
const DEADLINE: Duration = Duration::from_secs(10);

/// Browses on an interface until that many phones were found, and gives the address that each announces.
///
/// All phones announce the instance `ncm` (protocol.md §2), so it is the address that tells them apart.
pub(super) async fn discover(interface: u32, wanted: usize) -> Result<Vec<SocketAddrV6>> {
    let mut browser = Browser::start(BrowseConfig::new(interface, SERVICE))?;
    let mut found = BTreeMap::new();
    let search = async {
        while found.len() < wanted {
            match browser.next().await {
                Some(BrowseEvent::Found(instance) | BrowseEvent::Updated(instance)) => {
                    note(&mut found, &instance.addresses);
                }
                Some(BrowseEvent::Removed { .. }) => {}
                None => bail!("the interface to browse on is gone"),
            }
        }
        Ok(())
    };
    match timeout(DEADLINE, search).await {
        Ok(result) => result?,
        Err(_) => bail!(PhonesMissing { found: found.len(), wanted, seconds: DEADLINE.as_secs() }),
    }
    Ok(found.into_values().collect())
}

fn note(found: &mut BTreeMap<Ipv6Addr, SocketAddrV6>, addresses: &[SocketAddrV6]) {
    for address in addresses.iter().filter(|address| address.ip().is_unicast_link_local()) {
        found.insert(*address.ip(), *address);
    }
}
