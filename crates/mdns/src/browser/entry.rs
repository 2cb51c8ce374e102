//! One instance: its pointer, location, text and addresses, each with its life.

use std::{net::Ipv6Addr, time::Duration};

use super::{Counters, Path, schedule::Schedule};
use crate::{
    lease::Lease,
    limits::Limits,
    message::{Kind, Question},
    name::Name,
    rng::Rng,
};

/// Questions for a missing TXT record; an instance is usable without one.
const TXT_ATTEMPTS: u32 = 3;
/// Addresses heard this long before a cache flush are of the same burst. Source: RFC 6762 §10.2.
const BURST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Entry {
    /// When it was first heard of.
    pub(super) since: Duration,
    pub(super) ptr: Lease,
    srv: Option<(Location, Lease)>,
    txt: Option<(Vec<Vec<u8>>, Lease)>,
    addresses: Vec<Address>,
    /// When the missing records are asked for.
    missing: Schedule,
    /// What the last event said.
    pub(super) reported: Option<View>,
    /// True when something changed since the last look.
    pub(super) touched: bool,
}

/// What a user sees of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) host: Name,
    pub(super) port: u16,
    /// Best first: an address that is not ending, then a link-local one.
    pub(super) addresses: Vec<Ipv6Addr>,
    pub(super) txt: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Location {
    host: Name,
    port: u16,
}

#[derive(Debug)]
struct Address {
    address: Ipv6Addr,
    lease: Lease,
}

impl Address {
    fn rank(&self) -> (bool, bool, Ipv6Addr) {
        (self.lease.is_ending(), !self.address.is_unicast_link_local(), self.address)
    }
}

/// What surrounds one received message.
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) sender: Ipv6Addr,
    pub(super) path: Path,
    pub(super) limits: &'a Limits,
    pub(super) rng: &'a mut Rng,
    pub(super) counters: &'a mut Counters,
}

impl Context<'_> {
    pub(super) fn lease(&mut self, ttl: u32) -> Lease {
        Lease::new(self.now, ttl.min(self.limits.ttl_seconds), self.rng.next())
    }

    /// Takes a repeated record's TTL into `lease`; zero is a goodbye. A unicast answer to a one-shot question carries at
    /// most ten seconds (RFC 6762 §6.7), so it never shortens what a multicast answer promised.
    pub(super) fn renew(&mut self, lease: &mut Lease, ttl: u32) {
        if ttl == 0 {
            lease.end(self.now);
            return;
        }
        let new = self.lease(ttl);
        let shortens = new.expires() < lease.expires() && !lease.is_ending();
        if self.path == Path::Shared || !shortens {
            *lease = new;
        }
    }

    /// Takes a record that has one value at a time.
    fn put<T: PartialEq>(&mut self, slot: &mut Option<(T, Lease)>, value: T, ttl: u32) {
        match slot {
            Some((old, lease)) if *old == value => self.renew(lease, ttl),
            _ if ttl > 0 => *slot = Some((value, self.lease(ttl))),
            _ => {}
        }
    }

    pub(super) fn over_limit(&mut self) {
        self.counters.over_limit = self.counters.over_limit.saturating_add(1);
    }
}

impl Entry {
    pub(super) fn new(ptr: Lease, now: Duration) -> Self {
        Self {
            since: now,
            ptr,
            srv: None,
            txt: None,
            addresses: Vec::new(),
            missing: Schedule::at(now),
            reported: None,
            touched: true,
        }
    }

    pub(super) fn host(&self) -> Option<&Name> {
        self.srv.as_ref().map(|(location, _)| &location.host)
    }

    /// Number of addresses held.
    pub(super) fn addresses(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn locate(&mut self, host: &Name, port: u16, ttl: u32, context: &mut Context<'_>) {
        self.touched = true;
        if ttl > 0 && self.host() != Some(host) {
            // Another host: its address is asked for at once, not after the pause for the location.
            self.addresses.clear();
            self.missing = Schedule::at(context.now);
        }
        context.put(&mut self.srv, Location { host: host.clone(), port }, ttl);
    }

    /// Who still says where it is says that it exists. Its pointer may stay away: a host does not repeat an answer that
    /// it heard another give, and all phones give the same. Source: RFC 6762 §7.4; protocol.md §2.
    fn stay(&mut self, now: Duration) {
        let location = self.srv.as_ref().map(|(_, lease)| lease);
        let alive = location.filter(|lease| !lease.is_ending() && !lease.has_expired(now));
        if let Some(lease) = alive.filter(|_| !self.ptr.is_ending()) {
            self.ptr = lease.clone();
        }
    }

    pub(super) fn describe(&mut self, strings: &[Vec<u8>], ttl: u32, context: &mut Context<'_>) {
        self.touched = true;
        context.put(&mut self.txt, strings.to_vec(), ttl);
    }

    /// Ends the addresses of earlier bursts. Source: RFC 6762 §10.2.
    pub(super) fn flush_addresses(&mut self, now: Duration) {
        self.touched = true;
        for known in &mut self.addresses {
            if known.lease.since().saturating_add(BURST) < now {
                known.lease.end(now);
            }
        }
    }

    pub(super) fn address(&mut self, address: Ipv6Addr, ttl: u32, context: &mut Context<'_>) {
        self.touched = true;
        if let Some(known) = self.addresses.iter_mut().find(|known| known.address == address) {
            context.renew(&mut known.lease, ttl);
        } else if ttl > 0 {
            let lease = context.lease(ttl);
            self.addresses.push(Address { address, lease });
        }
        // The end of the others may have changed their rank as well.
        self.addresses.sort_by_key(Address::rank);
        if self.addresses.len() > context.limits.addresses {
            self.addresses.pop();
            context.over_limit();
        }
    }

    /// Drops what has expired; false when the instance itself has.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        if self.leases().any(|lease| lease.has_expired(now)) {
            self.touched = true;
            self.srv.take_if(|(_, lease)| lease.has_expired(now));
            self.txt.take_if(|(_, lease)| lease.has_expired(now));
            self.addresses.retain(|known| !known.lease.has_expired(now));
        }
        if self.ptr.has_expired(now) {
            self.stay(now);
        }
        !self.ptr.has_expired(now)
    }

    pub(super) fn view(&self) -> Option<View> {
        let (location, _) = self.srv.as_ref()?;
        let addresses: Vec<_> = self.addresses.iter().map(|known| known.address).collect();
        let txt = self.txt.as_ref().map(|(strings, _)| strings.clone()).unwrap_or_default();
        let (host, port) = (location.host.clone(), location.port);
        (!addresses.is_empty()).then_some(View { host, port, addresses, txt })
    }

    /// The next time something expires or should be asked for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let missing = self.wants().next().map(|_| self.missing.next());
        let leases = self.leases().flat_map(|lease| [Some(lease.expires()), lease.refresh_at()]).flatten();
        leases.chain(missing).min()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        let srv = self.srv.as_ref().map(|(_, lease)| lease);
        let txt = self.txt.as_ref().map(|(_, lease)| lease);
        let addresses = self.addresses.iter().map(|known| &known.lease);
        std::iter::once(&self.ptr).chain(srv).chain(txt).chain(addresses)
    }

    /// The types of the records that are missing.
    fn wants(&self) -> impl Iterator<Item = Kind> + use<> {
        let txt = self.txt.is_none() && self.missing.asked() < TXT_ATTEMPTS;
        let address = self.srv.is_some() && self.addresses.is_empty();
        let wants = [(self.srv.is_none(), Kind::Srv), (txt, Kind::Txt), (address, Kind::Aaaa)];
        wants.into_iter().filter_map(|(wanted, kind)| wanted.then_some(kind))
    }

    /// The questions about this instance that are due at `now`; marks them as asked.
    pub(super) fn questions(&mut self, name: &Name, now: Duration, rng: &mut Rng) -> Vec<Question> {
        let mut kinds: Vec<Kind> = Vec::new();
        if self.missing.is_due(now) {
            kinds.extend(self.wants());
            if !kinds.is_empty() {
                self.missing.ask(now, rng.millis(0, 20));
            }
        }
        let srv = self.srv.iter_mut().map(|(_, lease)| (Kind::Srv, lease));
        let txt = self.txt.iter_mut().map(|(_, lease)| (Kind::Txt, lease));
        let addresses = self.addresses.iter_mut().map(|known| (Kind::Aaaa, &mut known.lease));
        for (kind, lease) in srv.chain(txt).chain(addresses) {
            if lease.take_refresh(now) && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.into_iter().map(|kind| self.question(name, kind)).collect()
    }

    fn question(&self, name: &Name, kind: Kind) -> Question {
        let owner = match (kind, self.host()) {
            (Kind::Aaaa, Some(host)) => host,
            _ => name,
        };
        Question::new(owner.clone(), kind)
    }
}
