//! Configured peers that are named or routed: who they are at the moment.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Event, Peer};
use crate::model::{Link, Search, Source};

/// How long a name may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The peers with what is known of each.
pub(super) struct Resolver {
    peers: Vec<Routed>,
    lookups: JoinSet<(usize, Result<SocketAddrV6, String>)>,
}

struct Routed {
    host: String,
    port: u16,
    /// As people write it.
    name: String,
    looking: bool,
    /// As it was reported.
    address: Option<SocketAddrV6>,
    trouble: Option<String>,
}

impl Resolver {
    /// Of those that are on no interface of ours.
    pub(super) fn new(peers: &[Peer]) -> Self {
        let routed = peers.iter().filter_map(|peer| match peer {
            Peer::Routed { host, port } => {
                let (host, name) = (host.clone(), peer.to_string());
                Some(Routed { host, port: *port, name, looking: false, address: None, trouble: None })
            }
            Peer::OnLink { .. } => None,
        });
        Self { peers: routed.collect(), lookups: JoinSet::new() }
    }

    /// Looks all of them up.
    pub(super) fn begin(&mut self) {
        for (which, peer) in self.peers.iter_mut().enumerate().filter(|(_, peer)| !peer.looking) {
            peer.looking = true;
            let (host, port) = (peer.host.clone(), peer.port);
            self.lookups.spawn(async move { (which, resolve(&host, port).await) });
        }
    }

    /// What the next answer brings; waits for ever when there is nothing to wait for. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        let Some(Ok((which, found))) = self.lookups.join_next().await else {
            return std::future::pending().await;
        };
        self.peers.get_mut(which).map(|peer| peer.found(found)).unwrap_or_default()
    }

    /// What people see of them.
    pub(super) fn rows(&self) -> impl Iterator<Item = Search> {
        self.peers.iter().map(|peer| Search {
            interface: peer.name.clone(),
            index: 0,
            usable: peer.address.is_some(),
            trouble: peer.trouble.clone().into_iter().collect(),
        })
    }
}

impl Routed {
    /// A name that can't be looked up for once keeps its address.
    fn found(&mut self, found: Result<SocketAddrV6, String>) -> Vec<Event> {
        self.looking = false;
        let link = |address| Link { interface: String::new(), address, source: Source::Configured };
        match found {
            Err(error) => {
                self.trouble = Some(error);
                Vec::new()
            }
            Ok(address) => {
                self.trouble = None;
                let old = self.address.replace(address).filter(|old| *old != address);
                let gone = old.map(|old| Event::Unsighted(link(old)));
                gone.into_iter().chain([Event::Sighted(link(address))]).collect()
            }
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddrV6, String> {
    let addresses = match timeout(DEADLINE, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(format!("its address can't be found: {error}")),
        Err(_) => return Err(format!("its address was not found within {} s", DEADLINE.as_secs())),
    };
    let mut usable = addresses.filter_map(|address| match address {
        SocketAddr::V6(address) if !address.ip().is_unicast_link_local() => Some(address),
        _ => None,
    });
    usable.next().ok_or_else(|| "it has no IPv6 address, which phones need".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Routed {
        let (host, name) = ("phone.example".to_owned(), "phone.example:58783".to_owned());
        Routed { host, port: 58783, name, looking: true, address: None, trouble: None }
    }

    fn at(last: u16) -> SocketAddrV6 {
        SocketAddrV6::new(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), 58783, 0, 0)
    }

    #[test]
    fn a_new_address_takes_the_place_of_the_old_one() {
        let mut peer = peer();
        let link = |last| Link { interface: String::new(), address: at(last), source: Source::Configured };
        assert_eq!(peer.found(Ok(at(1))), [Event::Sighted(link(1))]);
        assert_eq!(peer.found(Ok(at(1))), [Event::Sighted(link(1))]);
        assert_eq!(peer.found(Err("no".into())), []);
        assert_eq!((peer.trouble.as_deref(), peer.address), (Some("no"), Some(at(1))));
        assert_eq!(peer.found(Ok(at(2))), [Event::Unsighted(link(1)), Event::Sighted(link(2))]);
        assert_eq!(peer.trouble, None);
    }

    #[tokio::test]
    async fn numbers_need_no_names() {
        assert_eq!(resolve("2001:db8::1", 58783).await, Ok(at(1)));
        assert!(resolve("127.0.0.1", 1).await.unwrap_err().contains("no IPv6"));
    }
}
