//! Which RSD connection of which peer lives, and when a peer's service listeners are replaced; without I/O.
//!
//! Source: protocol.md §4.1 "Peer lifetime" for iOS 27.2; before that no rule of this kind is known, so there every
//! connection lives and the listeners of a peer stay as long as the attach.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use uuid::Uuid;

/// Names one RSD connection of an attach.
pub type ConnectionId = u64;

/// Peers an attach remembers; each costs one listening socket per service. The bound is our own.
pub const PEERS_MAX: usize = 8;

/// What happened to an RSD connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A TCP connection was accepted.
    Connected {
        /// The peer's address, without port.
        peer: Ipv6Addr,
        /// The new connection.
        connection: ConnectionId,
    },
    /// The peer's Handshake came, with its UUID.
    Introduced {
        /// Where it came.
        connection: ConnectionId,
        /// The peer's UUID.
        uuid: Uuid,
    },
    /// The connection ended.
    Closed {
        /// Which one.
        connection: ConnectionId,
    },
}

/// What to do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Close every service listener and service connection of the peer.
    CloseServices(Ipv6Addr),
    /// Open a listener per service for the peer, at new ports.
    OpenServices(Ipv6Addr),
    /// Close an RSD connection.
    CloseConnection(ConnectionId),
    /// Serve the new RSD connection of the peer.
    Serve(ConnectionId, Ipv6Addr),
    /// Close the new RSD connection unserved: [`PEERS_MAX`] peers are connected.
    Refuse(ConnectionId),
}

#[derive(Debug, Default)]
struct Peer {
    uuid: Option<Uuid>,
    connections: Vec<ConnectionId>,
    last_seen: u64,
}

/// The peers of one attach.
#[derive(Debug)]
pub struct Peers {
    one_connection_per_peer: bool,
    peers: BTreeMap<Ipv6Addr, Peer>,
    clock: u64,
}

impl Peers {
    /// No peers yet; `rules` says whether those of iOS 27.2 hold.
    #[must_use]
    pub fn new(rules: bool) -> Peers {
        Peers { one_connection_per_peer: rules, peers: BTreeMap::new(), clock: 0 }
    }

    /// Takes an event and says what to do.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Connected { peer, connection } => self.connected(peer, connection),
            Event::Introduced { connection, uuid } => self.introduced(connection, uuid),
            Event::Closed { connection } => {
                for peer in self.peers.values_mut() {
                    peer.connections.retain(|&open| open != connection);
                }
                Vec::new()
            }
        }
    }

    fn connected(&mut self, address: Ipv6Addr, connection: ConnectionId) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.peers.contains_key(&address) {
            if self.peers.len() >= PEERS_MAX {
                let Some(stale) = self.stalest() else { return vec![Action::Refuse(connection)] };
                self.peers.remove(&stale);
                actions.push(Action::CloseServices(stale));
            }
            actions.push(Action::OpenServices(address));
        }
        self.clock += 1;
        let peer = self.peers.entry(address).or_default();
        peer.last_seen = self.clock;
        if self.one_connection_per_peer {
            // Replaced before any Handshake of the newcomer is read.
            actions.extend(peer.connections.drain(..).map(Action::CloseConnection));
        }
        peer.connections.push(connection);
        actions.push(Action::Serve(connection, address));
        actions
    }

    fn introduced(&mut self, connection: ConnectionId, uuid: Uuid) -> Vec<Action> {
        // A replaced connection is in no list: what it said last doesn't count.
        let Some((address, peer)) =
            self.peers.iter_mut().find(|(_, peer)| peer.connections.contains(&connection))
        else {
            return Vec::new();
        };
        let before = peer.uuid.replace(uuid);
        if self.one_connection_per_peer && before.is_some_and(|before| before != uuid) {
            return vec![Action::CloseServices(*address), Action::OpenServices(*address)];
        }
        Vec::new()
    }

    /// The peer without a connection that was seen longest ago.
    fn stalest(&self) -> Option<Ipv6Addr> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.connections.is_empty())
            .min_by_key(|(_, peer)| peer.last_seen)
            .map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const VM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    fn connected(peer: Ipv6Addr, connection: ConnectionId) -> Event {
        Event::Connected { peer, connection }
    }

    #[test]
    fn before_27_2_connections_and_uuids_do_not_disturb_each_other() {
        let mut peers = Peers::new(false);
        assert_eq!(peers.on(connected(VM, 1)), [Action::OpenServices(VM), Action::Serve(1, VM)]);
        assert_eq!(peers.on(Event::Introduced { connection: 1, uuid: ONE }), []);
        assert_eq!(peers.on(connected(VM, 2)), [Action::Serve(2, VM)]);
        assert_eq!(peers.on(Event::Introduced { connection: 2, uuid: TWO }), []);
    }

    #[test]
    fn from_27_2_on_a_new_connection_replaces_the_old_one_of_its_peer_only() {
        let mut peers = Peers::new(true);
        peers.on(connected(VM, 1));
        peers.on(connected(HOST, 2));
        assert_eq!(peers.on(connected(VM, 3)), [Action::CloseConnection(1), Action::Serve(3, VM)]);
        assert_eq!(peers.on(Event::Closed { connection: 1 }), []);
        assert_eq!(peers.on(connected(VM, 4)), [Action::CloseConnection(3), Action::Serve(4, VM)]);
    }

    #[test]
    fn the_same_uuid_keeps_the_listeners_and_a_changed_one_replaces_them() {
        let mut peers = Peers::new(true);
        peers.on(connected(VM, 1));
        assert_eq!(peers.on(Event::Introduced { connection: 1, uuid: ONE }), []);
        peers.on(connected(VM, 2));
        assert_eq!(peers.on(Event::Introduced { connection: 2, uuid: ONE }), []);
        peers.on(connected(VM, 3));
        let reattach = [Action::CloseServices(VM), Action::OpenServices(VM)];
        assert_eq!(peers.on(Event::Introduced { connection: 3, uuid: TWO }), reattach);
        peers.on(connected(VM, 4));
        assert_eq!(peers.on(Event::Introduced { connection: 4, uuid: TWO }), []);
    }

    #[test]
    fn a_uuid_is_remembered_after_its_connection_ended() {
        let mut peers = Peers::new(true);
        peers.on(connected(VM, 1));
        peers.on(Event::Introduced { connection: 1, uuid: ONE });
        peers.on(Event::Closed { connection: 1 });
        assert_eq!(peers.on(connected(VM, 2)), [Action::Serve(2, VM)]);
        assert_eq!(peers.on(Event::Introduced { connection: 2, uuid: TWO }).len(), 2);
    }

    #[test]
    fn a_client_without_handshake_changes_nothing() {
        let mut peers = Peers::new(true);
        peers.on(connected(VM, 1));
        peers.on(Event::Introduced { connection: 1, uuid: ONE });
        peers.on(connected(VM, 2));
        peers.on(connected(VM, 3));
        assert_eq!(peers.on(Event::Introduced { connection: 3, uuid: ONE }), []);
    }

    #[test]
    fn the_handshake_of_a_replaced_connection_comes_too_late() {
        let mut peers = Peers::new(true);
        peers.on(connected(VM, 1));
        peers.on(Event::Introduced { connection: 1, uuid: ONE });
        peers.on(connected(VM, 2));
        assert_eq!(peers.on(Event::Introduced { connection: 1, uuid: TWO }), []);
        assert_eq!(peers.on(Event::Introduced { connection: 2, uuid: ONE }), []);
    }

    #[test]
    fn a_ninth_peer_takes_the_place_of_the_stalest_or_is_refused() {
        let address = |number: u16| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number);
        let mut peers = Peers::new(true);
        for number in 0..8_u16 {
            peers.on(connected(address(number), number.into()));
        }
        assert_eq!(peers.on(connected(address(8), 8)), [Action::Refuse(8)]);
        peers.on(Event::Closed { connection: 5 });
        peers.on(Event::Closed { connection: 3 });
        let expected = [
            Action::CloseServices(address(3)),
            Action::OpenServices(address(9)),
            Action::Serve(9, address(9)),
        ];
        assert_eq!(peers.on(connected(address(9), 9)), expected);
        let back = [
            Action::CloseServices(address(5)),
            Action::OpenServices(address(3)),
            Action::Serve(10, address(3)),
        ];
        assert_eq!(peers.on(connected(address(3), 10)), back);
    }
}
