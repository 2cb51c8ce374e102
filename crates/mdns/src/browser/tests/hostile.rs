//! Neighbours that send too much.

use super::*;

fn neighbour(number: u32) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(number)), crate::PORT, 0, INTERFACE)
}

/// An instance that can be connected to.
fn usable(instance: &str) -> Vec<Record> {
    vec![ptr(instance, 4500), srv(instance, "h.local", 1, 4500), aaaa("h.local", "fe80::9", 4500)]
}

#[test]
fn hostile_instances_of_one_sender_are_bounded_and_give_way_to_a_usable_one() {
    let mut sim = Sim::new(BrowseMode::Shared);
    for group in 0..100 {
        sim.hears((0..10).map(|n| ptr(&format!("x{group}-{n}"), u32::MAX)).collect());
        assert!(sim.browser.sizes().0 <= 8);
    }
    sim.hears(ncm());
    assert_eq!(sim.events().len(), 1);
    assert_eq!(sim.browser.sizes(), (8, 1));
    // A hostile life is cut to the limit, so the places come free.
    sim.run(ms(4_501_000));
    assert_eq!(sim.browser.sizes(), (0, 0));
}

#[test]
fn usable_hostile_instances_are_counted_and_kept_out_above_the_limit_of_their_sender() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.response(Path::Shared, neighbour(1), ncm());
    for n in 0..70 {
        sim.hears(usable(&format!("x{n}")));
    }
    assert_eq!(sim.browser.sizes(), (9, 9));
    assert_eq!(sim.browser.counters().over_limit, 62);
    assert!(!sim.events().iter().any(|event| event.contains("removed")));
}

#[test]
fn forged_senders_are_bounded_and_take_no_place_of_a_live_instance() {
    let mut sim = Sim::new(BrowseMode::Shared);
    for n in 0..20 {
        sim.response(Path::Shared, neighbour(n), ncm());
    }
    for n in 1000..2000 {
        sim.response(Path::Shared, neighbour(n), vec![ptr("x", u32::MAX), ptr("y", u32::MAX)]);
        assert!(sim.browser.sizes().0 <= 256);
    }
    // The forged ones are not usable: a phone finds a place all the same.
    sim.hears(ncm());
    assert_eq!(sim.events().len(), 21);
    for n in 3000..4000 {
        sim.response(Path::Shared, neighbour(n), usable("z"));
    }
    assert_eq!(sim.browser.sizes().0, 256);
    assert_eq!(sim.browser.counters().over_limit, 1000 - (256 - 21));
    sim.log.retain(|line| line.contains("removed"));
    assert_eq!(sim.taken(), "");
    sim.response(Path::Shared, neighbour(3), vec![ptr("ncm", 0)]);
    sim.run(ms(1000));
    assert_eq!(sim.events(), ["1000 removed ncm of fe80::3"]);
}

#[test]
fn hostile_addresses_and_texts_are_bounded() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    for n in 0..50 {
        sim.hears(vec![aaaa("iPhone15-Pro.local", &format!("2001:db8::{n:x}"), 120)]);
        sim.hears(vec![txt("ncm", &["x".repeat(255).as_str(); 6])]);
    }
    assert_eq!(sim.browser.sizes(), (1, 8));
    assert_eq!(sim.browser.counters().over_limit, 50 + 43);
    let last = sim.events().last().unwrap().as_str().to_owned();
    assert!(last.contains("[[fe80::fcae:76ff:fe72:f8b7%34]:55109, ") && last.ends_with("txt 0"), "{last}");
}

#[test]
fn nothing_makes_it_ask_more_than_ten_times_a_second() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.run(ms(0));
    sim.log.clear();
    for step in 0..1000_u64 {
        sim.hears(vec![ptr(&format!("x{step}"), 1), srv(&format!("y{step}"), "h.local", 1, 1)]);
        sim.run(ms(step * 10));
    }
    let queries = sim.log.len();
    assert!((20..=101).contains(&queries), "{queries} queries in 10 s");
}

#[test]
fn queries_fit_one_frame() {
    let mut sim = Sim::new(BrowseMode::Shared);
    for n in 0..64 {
        sim.response(Path::Shared, neighbour(n), vec![ptr(&format!("{n:->60}"), 4500)]);
    }
    // The locations and texts of all of them are missing.
    let mut longest = 0;
    for action in sim.browser.on(ms(2000), Input::Restart) {
        let Action::Send { bytes, .. } = action else { continue };
        longest = longest.max(bytes.len());
    }
    let limit = Limits::default().payload_bytes;
    assert!((limit / 3..=limit).contains(&longest), "{longest} bytes");
}
