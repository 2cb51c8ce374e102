//! The actor with outcomes that the test gives; no runner ever gets a turn.

use std::net::{Ipv6Addr, SocketAddrV6};

use iosmux_link::Selection;
use iosmux_pairing::store::Store;
use tokio::sync::mpsc;

use super::*;
use crate::discover::{self, DiscoverConfig};
use crate::fleet::FleetConfig;
use crate::fleet::handle::{Inbox, channel};
use crate::fleet::runner::{Outcome, Report};
use crate::model::{Happening, Link, Source};
use crate::phone::{Failure, Kind};

const X: &str = "00008020-000000000000000A";
const Y: &str = "00008020-000000000000000B";

struct Stage {
    actor: Actor,
    inbox: Inbox,
    happenings: tokio::sync::broadcast::Receiver<Happening>,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("state")).unwrap();
        let config = FleetConfig::new("host", store);
        let discover =
            DiscoverConfig { interfaces: Selection::parse(["no-such"]).unwrap(), peers: Vec::new() };
        let (fleet, inbox) = channel();
        let happenings = fleet.happenings();
        let actor = Actor::new(config, discover, mpsc::channel(1).0);
        Self { actor, inbox, happenings, _directory: directory }
    }

    /// Somebody is announced at the address with this number.
    fn sight(&mut self, number: u16) -> u64 {
        let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number);
        let address = SocketAddrV6::new(ip, 1, 0, 7);
        let link = Link { interface: "eth0".to_owned(), address, source: Source::Mdns };
        self.actor.discovered(discover::Event::Sighted(link));
        *self.actor.attachments.last_key_value().unwrap().0
    }

    fn report(&mut self, id: u64, outcome: Outcome) {
        let run = self.actor.attachments[&id].runner.as_ref().expect("a hop runs").run;
        self.actor.reported(Report { attachment: id, run, outcome });
    }

    fn says(&mut self, id: u64, udid: &str) {
        let identity = Identity { udid: udid.to_owned(), product_type: None, os_version: None, build: None };
        self.report(id, Outcome::Identified(Box::new(identity), true));
    }

    /// As far as a tunnel that can be used.
    fn use_it(&mut self, id: u64) {
        self.report(id, Outcome::Trusted(false));
        // The tunnel's own hops need a tunnel: the machine alone tells their ends.
        for state in [State::TunnelUp, State::CatalogueKnown] {
            self.actor.hop_done(id);
            assert_eq!(self.state(id), state);
        }
    }

    fn fails(&mut self, id: u64, kind: Kind) {
        self.report(id, Outcome::Failed(Failure::new(kind, "it failed", "wait")));
    }

    /// A phone whose first way failed, which made the second one its own.
    fn failed_and_replaced(&mut self) -> (u64, u64) {
        let (first, second) = (self.sight(1), self.sight(2));
        self.says(first, X);
        self.fails(first, Kind::Retry);
        self.says(second, X);
        assert_eq!((self.state(first), self.holder(X)), (State::Spare, Some(second)));
        (first, second)
    }

    fn state(&self, id: u64) -> State {
        self.actor.attachments[&id].machine.state()
    }

    fn holder(&self, udid: &str) -> Option<u64> {
        self.actor.roster.find(udid).and_then(|record| record.attachment)
    }

    fn told(&mut self) -> Vec<(String, State)> {
        self.actor.publish(&self.inbox);
        std::iter::from_fn(|| self.happenings.try_recv().ok()).map(|one| (one.device, one.state)).collect()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_working_tunnel_is_given_up_only_for_a_phone_that_has_proven_itself() {
    let mut stage = Stage::new();
    let first = stage.sight(1);
    stage.says(first, X);
    stage.use_it(first);
    let second = stage.sight(2);
    stage.says(second, X);
    assert_eq!((stage.state(first), stage.holder(X)), (State::CatalogueKnown, Some(first)));
    stage.told();
    assert_eq!(stage.inbox.snapshot.borrow().unidentified.len(), 1, "it is shown by its address");

    stage.fails(second, Kind::Hold);
    assert_eq!((stage.state(first), stage.holder(X)), (State::CatalogueKnown, Some(first)));
    assert_eq!(stage.told(), [("fe80::2%eth0".to_owned(), State::Held)]);

    let third = stage.sight(3);
    stage.says(third, X);
    stage.use_it(third);
    assert_eq!((stage.state(first), stage.state(third)), (State::Spare, State::CatalogueKnown));
    assert_eq!(stage.holder(X), Some(third));
}

#[tokio::test(flavor = "current_thread")]
async fn the_way_that_worked_is_tried_again_when_the_new_one_fails() {
    let mut stage = Stage::new();
    let (first, second) = stage.failed_and_replaced();
    stage.fails(second, Kind::Retry);
    assert_eq!(stage.state(first), State::Down, "both have failed: after a pause");
    assert!(stage.actor.attachments[&first].machine.retry_at().is_some());
}

#[tokio::test(flavor = "current_thread")]
async fn a_way_that_will_not_be_tried_again_gives_the_phone_back() {
    for kind in [Kind::Hold, Kind::Unsupported, Kind::Locked] {
        let mut stage = Stage::new();
        let (first, second) = stage.failed_and_replaced();
        stage.fails(second, kind);
        assert_eq!(stage.state(first), State::Down);
        stage.actor.step(first, Event::Start);
        stage.says(first, X);
        stage.use_it(first);
        assert_eq!((stage.holder(X), stage.state(first)), (Some(first), State::CatalogueKnown), "{kind:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_phone_whose_user_is_asked_is_not_disturbed_by_who_only_says_that_it_is_that_phone() {
    let mut stage = Stage::new();
    let (first, second) = (stage.sight(1), stage.sight(2));
    stage.says(first, X);
    stage.report(first, Outcome::AwaitingTrust);
    stage.says(second, X);
    assert_eq!((stage.state(first), stage.holder(X)), (State::AwaitingTrust, Some(first)));
    // Its former address knows nothing of it any more: the one that is at work is the phone.
    stage.fails(first, Kind::Retry);
    assert_eq!((stage.state(first), stage.holder(X)), (State::Spare, Some(second)));
    stage.use_it(second);
    assert_eq!(stage.holder(X), Some(second));
}

#[tokio::test(flavor = "current_thread")]
async fn a_full_house_makes_room_for_a_phone_among_those_who_never_said_who_they_are() {
    let mut stage = Stage::new();
    let known = stage.sight(1);
    stage.says(known, X);
    stage.fails(known, Kind::Retry);
    for number in 2..=256 {
        let id = stage.sight(number);
        stage.fails(id, Kind::Unreachable);
    }
    let new = stage.sight(1000);
    assert_eq!(stage.actor.attachments.len(), 256);
    stage.says(new, Y);
    assert_eq!((stage.holder(X), stage.holder(Y)), (Some(known), Some(new)));
}

#[tokio::test(flavor = "current_thread")]
async fn a_spare_that_comes_late_leaves_a_working_tunnel_alone() {
    let mut stage = Stage::new();
    let (first, second) = stage.failed_and_replaced();
    stage.fails(second, Kind::Retry);
    // Both try at once.
    stage.actor.step(first, Event::Start);
    stage.says(first, X);
    stage.use_it(first);
    stage.actor.step(second, Event::Start);
    stage.says(second, X);
    assert_eq!((stage.state(first), stage.state(second)), (State::CatalogueKnown, State::Spare));
}

#[tokio::test(flavor = "current_thread")]
async fn an_attachment_that_says_another_udid_leaves_the_former_phone() {
    let mut stage = Stage::new();
    let id = stage.sight(1);
    stage.says(id, X);
    stage.fails(id, Kind::Retry);
    stage.told();
    stage.actor.step(id, Event::Start);
    stage.says(id, Y);
    assert_eq!((stage.holder(X), stage.holder(Y)), (None, Some(id)));
    assert_eq!(
        stage.told(),
        [(X.to_owned(), State::Gone), (Y.to_owned(), stage.state(id))],
        "nothing of Y is shown as X's"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_search_says_when_a_phone_left_that_waits_for_a_person() {
    let mut stage = Stage::new();
    let id = stage.sight(1);
    let address = *stage.actor.attachments[&id].link.address.ip();
    let resting = |stage: &Stage| stage.actor.discover.1.known.borrow().get(&address).copied();
    stage.says(id, X);
    assert_eq!(resting(&stage), Some(false));
    stage.fails(id, Kind::Hold);
    assert_eq!(resting(&stage), Some(true));
    stage.actor.step(id, Event::Start);
    assert_eq!(resting(&stage), Some(false));
    stage.says(id, X);
    stage.fails(id, Kind::Hold);
    stage.told();
    let link = stage.actor.attachments[&id].link.clone();
    stage.actor.discovered(discover::Event::Unsighted(link));
    assert_eq!((resting(&stage), stage.told()), (None, vec![(X.to_owned(), State::Gone)]));
}

#[tokio::test(flavor = "current_thread")]
async fn a_phone_that_goes_is_told() {
    let mut stage = Stage::new();
    let id = stage.sight(1);
    stage.says(id, X);
    stage.told();
    stage.actor.discovered(discover::Event::InterfaceLost { index: 7 });
    assert_eq!(stage.told(), [(X.to_owned(), State::Gone)]);
}
