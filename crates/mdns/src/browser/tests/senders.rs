//! Several phones on one link, all of them `ncm`.

use proptest::prelude::*;

use super::*;

fn at(number: u16) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number), crate::PORT, 0, INTERFACE)
}

/// What phone `number` announces; the host's name may be that of another phone.
fn announcement(number: u16, host: &str) -> Vec<Record> {
    let address = format!("fe80::{number:x}");
    let (location, address) = (srv("ncm", host, 50_000 + number, 120), aaaa(host, &address, 120));
    vec![ptr("ncm", 4500), location, txt("ncm", &[]), address]
}

fn two() -> Sim {
    let mut sim = Sim::new(BrowseMode::Both);
    sim.response(Path::Shared, at(1), announcement(1, "iPhone.local"));
    sim.response(Path::Shared, at(2), announcement(2, "iPhone.local"));
    sim
}

#[test]
fn phones_of_one_name_and_one_host_name_are_two() {
    let sim = two();
    let found = [
        "0 found ncm of fe80::1 at iPhone.local port 50001 [[fe80::1%34]:50001] txt 0",
        "0 found ncm of fe80::2 at iPhone.local port 50002 [[fe80::2%34]:50002] txt 0",
    ];
    assert_eq!(sim.events(), found);
    assert_eq!(sim.browser.sizes(), (2, 2));
}

#[test]
fn a_goodbye_removes_only_who_said_it() {
    let mut sim = two();
    sim.run(ms(5000));
    sim.log.clear();
    sim.response(Path::Shared, at(1), vec![ptr("ncm", 0), srv("ncm", "iPhone.local", 50_001, 0)]);
    sim.run(ms(20_000));
    assert_eq!(sim.events(), ["6000 removed ncm of fe80::1"]);
    assert_eq!(sim.browser.sizes(), (1, 1));
}

#[test]
fn only_who_is_silent_expires() {
    let mut sim = two();
    for round in 1..4 {
        sim.run(ms(round * 60_000));
        sim.response(Path::Shared, at(2), announcement(2, "iPhone.local"));
    }
    sim.log.retain(|line| line.contains("removed"));
    assert_eq!(sim.taken(), "120000 removed ncm of fe80::1");
}

#[test]
fn a_new_port_is_news_of_one_phone_only() {
    let mut sim = two();
    sim.run(ms(9000));
    sim.log.clear();
    sim.response(Path::Shared, at(2), vec![srv("ncm", "iPhone.local", 61_000, 120)]);
    let updated = "9000 updated ncm of fe80::2 at iPhone.local port 61000 [[fe80::2%34]:61000] txt 0";
    assert_eq!(sim.events(), [updated]);
}

#[test]
fn one_question_refreshes_all_phones() {
    let mut sim = two();
    sim.run(ms(95_000));
    sim.log.clear();
    sim.run(ms(101_000));
    let asked: Vec<_> = sim.log.iter().filter(|line| line.contains("Shared")).collect();
    let location = |line: &&&String| line.contains("SRV");
    assert!((1..=2).contains(&asked.iter().filter(location).count()), "{asked:?}");
}

/// A host keeps an answer to itself that it has just heard from another. Source: RFC 6762 §7.4.
#[test]
fn a_phone_whose_pointer_only_another_repeats_stays() {
    let mut sim = two();
    for minute in 1..200 {
        sim.run(ms(minute * 60_000));
        sim.response(Path::Shared, at(1), announcement(1, "iPhone.local"));
        sim.response(Path::Shared, at(2), announcement(2, "iPhone.local").split_off(1));
    }
    assert_eq!(sim.events().len(), 2, "{:?}", sim.events());
    // And its end is seen as soon as that of any other.
    sim.run(ms(200 * 60_000));
    sim.run(ms(202 * 60_000));
    sim.log.retain(|line| line.contains("removed"));
    assert_eq!(sim.log.len(), 2, "{:?}", sim.log);
}

#[derive(Debug, Clone)]
enum Step {
    Announce {
        sender: u16,
        instance: u8,
        port: u16,
        one_shot: bool,
    },
    Goodbye {
        sender: u16,
        instance: u8,
    },
    /// Only the address, which other instances of the sender share.
    Address {
        sender: u16,
        ttl: u32,
    },
    Wait {
        seconds: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (sender, instance) = (1_u16..5, 0_u8..3);
    let announce = (sender.clone(), instance.clone(), 1_u16..4, any::<bool>());
    prop_oneof![
        4 => announce.prop_map(|(sender, instance, port, one_shot)| Step::Announce { sender, instance, port, one_shot }),
        2 => (sender.clone(), instance).prop_map(|(sender, instance)| Step::Goodbye { sender, instance }),
        1 => (sender, 0_u32..200).prop_map(|(sender, ttl)| Step::Address { sender, ttl }),
        4 => (1_u16..150).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// The events of a browser that hears these steps, with a timer each second.
fn events(steps: &[Step], heard: impl Fn(u16) -> bool) -> Vec<String> {
    let mut sim = Sim::new(BrowseMode::Both);
    let say = |sim: &mut Sim, path, sender, records| {
        if heard(sender) {
            sim.response(path, at(sender), records);
        }
    };
    for step in steps {
        match *step {
            Step::Announce { sender, instance, port, one_shot } => {
                let (name, host) = (format!("n{instance}"), "iPhone.local");
                let path = if one_shot { Path::OneShot } else { Path::Shared };
                let life = if one_shot { 10 } else { 120 };
                let address = aaaa(host, &format!("fe80::{sender:x}"), life);
                say(
                    &mut sim,
                    path,
                    sender,
                    vec![ptr(&name, life * 4), srv(&name, host, port, life), address],
                );
            }
            Step::Goodbye { sender, instance } => {
                say(&mut sim, Path::Shared, sender, vec![ptr(&format!("n{instance}"), 0)]);
            }
            Step::Address { sender, ttl } => {
                let address = aaaa("iPhone.local", &format!("fe80::{sender:x}"), ttl);
                say(&mut sim, Path::Shared, sender, vec![address]);
            }
            Step::Wait { seconds } => {
                for _ in 0..seconds {
                    sim.now += ms(1000);
                    sim.input(Input::Timer);
                }
            }
        }
    }
    sim.events().into_iter().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is known of one sender is what a browser knows that hears nobody else.
    #[test]
    fn no_sender_changes_what_is_known_of_another(steps in prop::collection::vec(step(), 1..40)) {
        let together = events(&steps, |_| true);
        for sender in 1..5 {
            let alone = events(&steps, |other| other == sender);
            let of = format!(" of fe80::{sender:x}");
            let said: Vec<_> = together.iter()
                .filter(|line| line.ends_with(&of) || line.contains(&format!("{of} ")))
                .cloned().collect();
            prop_assert_eq!(said, alone);
        }
    }
}
