//! Finding phones by mDNS, as the VM does.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;
use std::time::Duration;

use anyhow::{Result, bail};
use iosmux_mdns::browser::BrowseEvent;
use iosmux_mdns::io::{BrowseConfig, Browser};
use tokio::time::timeout;

use crate::exit::PhonesMissing;

/// Source: protocol.md §2.
const SERVICE: &str = "_remoted._tcp";
const DEADLINE: Duration = Duration::from_secs(10);

/// Browses on an interface until that many phones were found, and gives where each is, by address.
pub(super) async fn discover(interface: u32, wanted: usize) -> Result<Vec<SocketAddrV6>> {
    let mut browser = Browser::start(BrowseConfig::new(interface, SERVICE))?;
    let mut found = BTreeMap::new();
    let search = async {
        while found.len() < wanted {
            match browser.next().await {
                Some(BrowseEvent::Found(phone) | BrowseEvent::Updated(phone)) => {
                    found.insert(phone.sender, SocketAddrV6::new(phone.sender, phone.port, 0, interface));
                }
                Some(BrowseEvent::Removed { sender, .. }) => drop(found.remove(&sender)),
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
