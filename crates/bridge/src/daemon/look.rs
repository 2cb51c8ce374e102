//! Pictures of the world.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::pin::Pin;

use tokio::time::timeout;

use super::Ports;
use super::attachment::Key;
use crate::phone::{Machine, Picture, Usb};
use crate::ports::{Address, Attached, Bridge, LONGEST, LinkControl, LinkError, UsbHost};

/// One look at links, as far as they were asked for.
pub(super) struct Look<'a, U, L, N> {
    ports: &'a Ports<U, L, N>,
    bridges: Bridges,
    before: Bridges,
}

/// What has a bridge's name, by it.
pub(super) type Bridges = BTreeMap<String, Named>;

/// The bridge, an interface that is none, or why the kernel could not be asked.
#[derive(Clone, Default)]
pub(super) struct Named {
    bridge: Option<Bridge>,
    no_bridge: bool,
    unknown: Option<String>,
}

/// A look under way.
pub(super) type Looking = Pin<Box<dyn Future<Output = io::Result<Found>> + Send>>;

/// What is on USB.
pub(super) struct Found {
    pub(super) phones: BTreeMap<Key, Attached>,
    /// See [`Phones::late`](crate::ports::Phones::late).
    late: BTreeSet<Address>,
    /// Where phones are whose UDID another one has.
    twins: BTreeMap<Address, Key>,
}

impl Found {
    /// Whether a phone is late.
    pub(super) fn any_is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Whether this phone is: then what it was last seen as holds.
    pub(super) fn is_late(&self, machine: &Machine) -> bool {
        machine.picture().usb.as_ref().is_some_and(|usb| self.late.contains(&usb.address))
    }
}

/// What was warned of, so that each address is warned of once.
#[derive(Default)]
pub(super) struct Warned(BTreeSet<Address>);

impl Warned {
    /// Warns of what is new in this; how often.
    pub(super) fn of(&mut self, found: &Found) -> usize {
        let mut count = 0;
        let is_here = |address: &Address| {
            found.late.contains(address)
                || found.twins.contains_key(address)
                || found.phones.values().any(|phone| phone.address == *address)
        };
        self.0.retain(is_here);
        for (address, key) in &found.twins {
            if self.0.insert(address.clone()) {
                count += 1;
                let other = found.phones.get(key).map(|phone| tracing::field::display(&phone.address));
                tracing::warn!(?key, %address, other, "two phones have one UDID: this one is left alone");
            }
        }
        for address in &found.late {
            if self.0.insert(address.clone()) {
                count += 1;
                tracing::warn!(%address, "the kernel does not show a phone: a request that it does not answer is under way");
            }
        }
        count
    }
}

/// Waits for the end of a look.
pub(super) async fn found(looking: &mut Option<Looking>) -> io::Result<Found> {
    let Some(look) = looking else { return pending().await };
    let found = look.await;
    *looking = None;
    found
}

/// The phones on USB, by which they are. Of two with one UDID, which one of them made up, the one of `known` stays.
pub(super) async fn phones<U: UsbHost, L, N>(
    ports: &Ports<U, L, N>,
    known: impl Fn(&Key, &Attached) -> bool,
) -> io::Result<Found> {
    let listed = timeout(LONGEST, ports.usb.list()).await;
    let listed = listed.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (mut phones, mut twins) = (BTreeMap::<Key, Attached>::new(), BTreeMap::new());
    for attached in listed.attached {
        let key = match attached.udid() {
            Ok(udid) => Key::Udid(udid),
            Err(_) => Key::Port(attached.address.id.clone()),
        };
        let left = match phones.get(&key) {
            Some(twin) if known(&key, twin) => Some(attached),
            _ => phones.insert(key.clone(), attached),
        };
        twins.extend(left.map(|left| (left.address, key)));
    }
    Ok(Found { phones, late: listed.late.into_iter().collect(), twins })
}

impl<'a, U, L: LinkControl, N> Look<'a, U, L, N> {
    /// A new one, after one that found these bridges.
    pub(super) fn new(ports: &'a Ports<U, L, N>, before: Bridges) -> Self {
        Self { ports, bridges: Bridges::new(), before }
    }

    /// The bridges that it found.
    pub(super) fn end(self) -> Bridges {
        self.bridges
    }

    /// The picture for a machine. Where the kernel can't be asked, what was there before holds.
    pub(super) async fn picture(&mut self, machine: &Machine, attached: Option<&Attached>) -> Picture {
        let usb = attached.map(Usb::read);
        let index = usb.as_ref().and_then(|usb| machine.interface(usb));
        let port = match index {
            Some(index) => answered(self.ports.links.port(index), "an interface").await.or_else(|problem| {
                let before = machine.picture().port.clone().filter(|port| port.index == index);
                before.map(Some).ok_or(problem)
            }),
            None => Ok(None),
        };
        let Named { bridge, no_bridge, unknown } = self.named(&machine.wanted().bridge).await;
        let unknown = unknown.or(port.as_ref().err().cloned());
        Picture { usb, bridge, no_bridge, port: port.ok().flatten(), unknown }
    }

    async fn named(&mut self, name: &str) -> Named {
        if let Some(known) = self.bridges.get(name) {
            return known.clone();
        }
        let question = async {
            match self.ports.links.bridge(name).await {
                Err(LinkError::NoBridge) => Ok(Named { no_bridge: true, ..Named::default() }),
                found => found.map(|bridge| Named { bridge, ..Named::default() }),
            }
        };
        let before = self.before.get(name).filter(|before| before.unknown.is_none());
        let found = answered(question, "a bridge").await.unwrap_or_else(|problem| {
            before.cloned().unwrap_or_else(|| Named { unknown: Some(problem), ..Named::default() })
        });
        self.bridges.insert(name.to_owned(), found.clone());
        found
    }
}

/// The answer, or why there is none: it is looked for again.
async fn answered<T>(
    question: impl Future<Output = Result<T, LinkError>>,
    what: &'static str,
) -> Result<T, String> {
    let problem = match timeout(LONGEST, question).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the kernel does not answer".to_owned(),
    };
    tracing::warn!(problem, what, "the kernel can't be asked");
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_warned_of_once() {
        let address = |device| Address { id: format!("1-{device}"), bus: 1, device };
        let found = |twin: &[u8], late: &[u8]| Found {
            phones: BTreeMap::new(),
            late: late.iter().copied().map(address).collect(),
            twins: twin.iter().map(|device| (address(*device), Key::Port("1-1".to_owned()))).collect(),
        };
        let mut warned = Warned::default();
        let looks =
            [found(&[2], &[3]), found(&[2], &[3]), found(&[2, 4], &[]), found(&[], &[]), found(&[2], &[])];
        assert_eq!(looks.map(|look| warned.of(&look)), [2, 0, 1, 0, 1]);
    }
}
