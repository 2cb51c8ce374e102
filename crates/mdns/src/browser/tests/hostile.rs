//! Neighbours that send too much.

use super::*;

#[test]
fn hostile_instances_are_bounded_and_give_way_to_a_usable_one() {
    let mut sim = Sim::new(BrowseMode::Shared);
    for group in 0..100 {
        sim.hears((0..10).map(|n| ptr(&format!("x{group}-{n}"), u32::MAX)).collect());
        assert!(sim.browser.sizes().0 <= 64);
    }
    sim.hears(ncm());
    assert_eq!(sim.events().len(), 1);
    assert_eq!(sim.browser.sizes(), (64, 1));
    // A hostile life is cut to the limit, so the places come free.
    sim.run(ms(4_501_000));
    assert_eq!(sim.browser.sizes(), (0, 0));
}

#[test]
fn usable_hostile_instances_are_counted_and_kept_out_above_the_limit() {
    let mut sim = Sim::new(BrowseMode::Shared);
    for n in 0..70 {
        let instance = format!("x{n}");
        sim.hears(vec![
            ptr(&instance, 4500),
            srv(&instance, "h.local", 1, 120),
            aaaa("h.local", "fe80::9", 120),
        ]);
    }
    assert_eq!(sim.browser.sizes(), (64, 64));
    assert_eq!(sim.browser.counters().over_limit, 6);
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
        let instance = format!("{n:->60}");
        sim.hears(vec![
            ptr(&instance, 4500),
            srv(&instance, "h.local", 1, 120),
            aaaa("h.local", "fe80::9", 120),
        ]);
    }
    sim.run(ms(1000));
    for action in sim.browser.on(ms(2000), Input::Restart) {
        let Action::Send { bytes, .. } = action else { continue };
        assert!(bytes.len() <= Limits::default().payload_bytes);
    }
}
