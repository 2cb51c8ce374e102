//! Phones that are looked for on real links: announced, silent, leaving, on interfaces that come and go.
#![cfg(feature = "net-tests")]

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::process::Command;
use std::time::{Duration, Instant};

use iosmux_fakephone::net::{Phone, PhoneConfig};
use iosmux_link::Selection;
use iosmux_tunneld::discover::{Discover, DiscoverConfig, Event, Known, RSD_PORT};
use iosmux_tunneld::model::{Link, Search, Source};
use iosmux_xpc::rsd::Catalogue;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

const CATALOGUE: &str = include_str!("../../fakephone/tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(15);

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2's ip starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {arguments}: {said}; these tests run as root inside a network namespace of their own (unshare -Urn)"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// A bridge with phones' cables; `number` tells the tests apart.
struct Desk {
    number: u16,
}

impl Desk {
    fn new(number: u16) -> Self {
        let desk = Self { number };
        desk.plug_bridge();
        desk
    }

    fn plug_bridge(&self) {
        let bridge = self.bridge();
        ip(&format!("link add {bridge} type bridge"));
        ip(&format!("link set {bridge} addrgenmode none"));
        ip(&format!("link set {bridge} up"));
        ip(&format!("address add {}/64 dev {bridge} nodad", self.address(0xff)));
    }

    fn bridge(&self) -> String {
        format!("bridge{}", self.number)
    }

    fn netdev(&self, phone: u16) -> String {
        format!("phone{}-{phone}", self.number)
    }

    fn port(&self, phone: u16) -> String {
        format!("port{}-{phone}", self.number)
    }

    fn address(&self, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, self.number, 0, last)
    }

    fn index(&self, name: &str) -> u32 {
        let text = ip(&format!("-o link show dev {name}"));
        text.split(':').next().and_then(|index| index.parse().ok()).expect("the index comes first")
    }

    /// A cable to a phone's netdev, which has an address.
    fn cable(&self, phone: u16) {
        let (netdev, port) = (self.netdev(phone), self.port(phone));
        ip(&format!("link add {netdev} type veth peer name {port}"));
        for end in [&netdev, &port] {
            ip(&format!("link set {end} addrgenmode none"));
        }
        self.attach(phone);
        ip(&format!("link set {port} up"));
        ip(&format!("link set {netdev} up"));
        ip(&format!("address add {}/64 dev {netdev} nodad", self.address(phone)));
    }

    fn attach(&self, phone: u16) {
        ip(&format!("link set {} master {}", self.port(phone), self.bridge()));
    }

    async fn phone(&self, phone: u16, faults: &[&str]) -> Phone {
        let catalogue = Catalogue::from_json(&serde_json::from_str(CATALOGUE).unwrap()).unwrap();
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let config = PhoneConfig { faults, ..PhoneConfig::new(self.netdev(phone), catalogue) };
        timeout(DEADLINE, Phone::start(config)).await.expect("attached soon").expect("a phone")
    }

    fn search(&self, peers: &[String]) -> (Discover, Events) {
        let config = DiscoverConfig {
            interfaces: Selection::parse([self.bridge()]).unwrap(),
            peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        };
        let (discover, receiver) = Discover::start(config);
        (discover, Events { receiver, searches: Vec::new() })
    }

    fn link(&self, phone: u16, port: u16, source: Source) -> Link {
        let (interface, address) = (self.bridge(), self.address(phone));
        let address = SocketAddrV6::new(address, port, 0, self.index(&interface));
        Link { interface, address, source }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // A test may not have made them, or deleted them.
        for link in [self.port(1), self.port(2), self.bridge()] {
            let _ = Command::new("ip").args(["link", "delete", &link]).output();
        }
    }
}

struct Events {
    receiver: Receiver<Event>,
    /// As they came last.
    searches: Vec<Search>,
}

impl Events {
    /// The next event that is about phones.
    async fn next(&mut self) -> Event {
        self.within(DEADLINE).await.expect("an event soon")
    }

    async fn within(&mut self, time: Duration) -> Option<Event> {
        let next = async {
            loop {
                match self.receiver.recv().await.expect("the search goes on") {
                    Event::Searches(searches) => self.searches = searches,
                    event => return event,
                }
            }
        };
        timeout(time, next).await.ok()
    }

    async fn silence(&mut self, time: Duration) {
        assert_eq!(self.within(time).await, None);
    }
}

fn announced(phone: &Phone) -> u16 {
    phone.ready().expect("attached").announced_port
}

#[tokio::test]
async fn a_phone_that_announces_itself_is_sighted_at_once_and_its_neighbours_are_left_alone() {
    let desk = Desk::new(1);
    desk.cable(1);
    desk.cable(2);
    let phone = desk.phone(1, &[]).await;
    let listener = listen(&desk, 2);
    let began = Instant::now();
    let (_discover, mut events) = desk.search(&[]);
    let link = desk.link(1, announced(&phone), Source::Mdns);
    assert_eq!(events.next().await, Event::Sighted(link));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(
        timeout(Duration::from_secs(5), listener.accept()).await.is_err(),
        "who announces itself is enough"
    );
    events.silence(Duration::from_millis(100)).await;
    let expected = Search {
        interface: desk.bridge(),
        index: desk.index(&desk.bridge()),
        usable: true,
        trouble: Vec::new(),
    };
    assert_eq!(events.searches, [expected]);
}

/// RSD's port of a neighbour that is no phone of ours.
fn listen(desk: &Desk, neighbour: u16) -> TcpListener {
    let socket = TcpSocket::new_v6().unwrap();
    let index = desk.index(&desk.netdev(neighbour));
    let address = SocketAddrV6::new(desk.address(neighbour), RSD_PORT, 0, index);
    socket.bind(SocketAddr::V6(address)).unwrap();
    socket.listen(8).unwrap()
}

#[tokio::test]
async fn a_silent_phone_is_found_by_an_echo_and_who_does_not_listen_is_not() {
    let desk = Desk::new(2);
    desk.cable(1);
    desk.cable(2);
    let _phone = desk.phone(1, &["no-announce"]).await;
    let began = Instant::now();
    let (_discover, mut events) = desk.search(&[]);
    let link = desk.link(1, RSD_PORT, Source::Neighbour);
    assert_eq!(events.next().await, Event::Sighted(link));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(5), "{took:?}");
    events.silence(Duration::from_secs(3)).await;
    assert!(events.searches.iter().all(|search| search.trouble.is_empty()), "{:?}", events.searches);
}

/// In this namespace ping sockets are nobody's right, and raw ones not that of this thread.
#[tokio::test]
async fn without_the_right_to_send_echoes_people_are_told_and_announcements_still_count() {
    let desk = Desk::new(10);
    desk.cable(1);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap();
    let ids: Vec<u32> = range.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(ids[0] > ids[1], "a new namespace allows ping sockets to nobody: {ids:?}");
    caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_NET_RAW).unwrap();
    let (_discover, mut events) = desk.search(&[]);
    events.silence(Duration::from_secs(4)).await;
    let trouble = &events.searches[0].trouble[0];
    assert!(trouble.contains("CAP_NET_RAW") && trouble.contains("ping_group_range"), "{trouble}");
    let phone = desk.phone(1, &[]).await;
    assert_eq!(events.next().await, Event::Sighted(desk.link(1, announced(&phone), Source::Mdns)));
}

#[tokio::test]
async fn a_known_phone_is_never_tried_and_a_refresh_finds_it_once_it_is_unknown() {
    let desk = Desk::new(3);
    desk.cable(1);
    let listener = listen(&desk, 1);
    let (discover, mut events) = desk.search(&[]);
    let sighted = Event::Sighted(desk.link(1, RSD_PORT, Source::Neighbour));
    assert_eq!(events.next().await, sighted);
    let tries = async || timeout(Duration::from_secs(3), listener.accept()).await.is_ok();
    assert!(tries().await, "the one that found it");
    discover.known.send(Known::from([(desk.address(1), false)])).unwrap();
    discover.refresh();
    assert!(!tries().await, "from iOS 27.2 on it would end the tunnel");
    events.silence(Duration::from_millis(100)).await;
    discover.known.send(Known::new()).unwrap();
    discover.refresh();
    assert!(tries().await);
    assert_eq!(events.next().await, sighted);
}

#[tokio::test]
async fn of_two_phones_on_a_bridge_only_the_one_that_leaves_is_unsighted() {
    let desk = Desk::new(4);
    let mut phones = Vec::new();
    for number in [1, 2] {
        desk.cable(number);
        phones.push(desk.phone(number, &[]).await);
    }
    let (discover, mut events) = desk.search(&[]);
    let links =
        [1, 2].map(|number| desk.link(number, announced(&phones[usize::from(number) - 1]), Source::Mdns));
    let mut sighted = [events.next().await, events.next().await];
    sighted.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(sighted, links.clone().map(Event::Sighted));
    phones.remove(0).shutdown().await.unwrap();
    assert_eq!(events.next().await, Event::Unsighted(links[0].clone()));
    discover.refresh();
    assert_eq!(events.next().await, Event::Sighted(links[1].clone()), "a refresh reports who is there");
    events.silence(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn an_interface_that_is_deleted_is_lost_and_found_again_under_another_index() {
    let desk = Desk::new(5);
    desk.cable(1);
    let phone = desk.phone(1, &[]).await;
    let (_discover, mut events) = desk.search(&[]);
    let before = desk.link(1, announced(&phone), Source::Mdns);
    assert_eq!(events.next().await, Event::Sighted(before.clone()));
    ip(&format!("link delete {}", desk.bridge()));
    let index = before.address.scope_id();
    assert_eq!(events.next().await, Event::InterfaceLost { index });
    events.silence(Duration::from_millis(600)).await;
    let absent = Search {
        interface: desk.bridge(),
        index: 0,
        usable: false,
        trouble: vec!["there is no such interface".to_owned()],
    };
    assert_eq!(events.searches, [absent]);

    desk.plug_bridge();
    desk.attach(1);
    let after = desk.link(1, announced(&phone), Source::Mdns);
    assert_ne!(after.address.scope_id(), index);
    assert_eq!(events.next().await, Event::Sighted(after));
    events.silence(Duration::from_millis(600)).await;
    assert!(events.searches[0].usable);
}

#[tokio::test]
async fn a_short_interruption_is_none_and_a_longer_one_is() {
    let desk = Desk::new(6);
    desk.cable(1);
    let phone = desk.phone(1, &[]).await;
    let (_discover, mut events) = desk.search(&[]);
    let sighted = Event::Sighted(desk.link(1, announced(&phone), Source::Mdns));
    assert_eq!(events.next().await, sighted);
    // Without its only port a bridge has no carrier.
    let port = desk.port(1);
    ip(&format!("link set {port} down"));
    sleep(Duration::from_millis(1200)).await;
    ip(&format!("link set {port} up"));
    events.silence(Duration::from_secs(3)).await;
    ip(&format!("link set {port} down"));
    let (began, index) = (Instant::now(), desk.index(&desk.bridge()));
    assert_eq!(events.next().await, Event::InterfaceLost { index });
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    events.silence(Duration::from_millis(100)).await;
    assert_eq!(events.searches[0].trouble, ["it has no carrier"]);
    ip(&format!("link set {port} up"));
    assert_eq!(events.next().await, sighted);
}

#[tokio::test]
async fn a_configured_peer_is_reported_while_its_interface_can_be_used() {
    let desk = Desk::new(7);
    let bridge = desk.bridge();
    desk.cable(1);
    let listener = listen(&desk, 1);
    let peers = [format!("{}%{bridge}", desk.address(1)), "[::1]:1234".to_owned()];
    let (discover, mut events) = desk.search(&peers);
    let on_link = Event::Sighted(desk.link(1, RSD_PORT, Source::Configured));
    let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1234, 0, 0);
    let routed = Event::Sighted(Link { interface: String::new(), address, source: Source::Configured });
    assert_eq!([events.next().await, events.next().await], [on_link.clone(), routed.clone()]);
    assert!(
        timeout(Duration::from_secs(5), listener.accept()).await.is_err(),
        "it is not tried as a neighbour"
    );
    events.silence(Duration::from_millis(100)).await;
    discover.refresh();
    assert_eq!([events.next().await, events.next().await], [on_link.clone(), routed]);
    let index = desk.index(&bridge);
    ip(&format!("link set {bridge} down"));
    assert_eq!(events.next().await, Event::InterfaceLost { index });
    ip(&format!("link set {bridge} up"));
    ip(&format!("address add {}/64 dev {bridge} nodad", desk.address(0xff)));
    assert_eq!(events.next().await, on_link);
}

#[tokio::test]
async fn an_interface_that_flaps_is_lost_at_most_once_every_two_seconds() {
    let desk = Desk::new(8);
    desk.cable(1);
    let phone = desk.phone(1, &[]).await;
    let (_discover, mut events) = desk.search(&[]);
    assert_eq!(events.next().await, Event::Sighted(desk.link(1, announced(&phone), Source::Mdns)));
    let port = desk.port(1);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        ip(&format!("link set {port} down"));
        ip(&format!("link set {port} up"));
        sleep(Duration::from_millis(5)).await;
    }
    let mut count = 0;
    while events.within(Duration::from_secs(1)).await.is_some() {
        count += 1;
    }
    assert!(count <= 4, "{count} events in four seconds");
}

#[tokio::test]
async fn dropping_the_search_ends_all_of_it() {
    let desk = Desk::new(9);
    desk.cable(1);
    let (discover, mut events) = desk.search(&[]);
    let members = || ip(&format!("-6 maddress show dev {}", desk.bridge()));
    let began = Instant::now();
    while !members().contains("ff02::fb") {
        assert!(began.elapsed() < DEADLINE, "it never listened");
        sleep(Duration::from_millis(20)).await;
    }
    drop(discover);
    let end = async { while events.receiver.recv().await.is_some() {} };
    timeout(DEADLINE, end).await.expect("the events end");
    while members().contains("ff02::fb") {
        assert!(began.elapsed() < DEADLINE, "it still listens: {}", members());
        sleep(Duration::from_millis(20)).await;
    }
}
