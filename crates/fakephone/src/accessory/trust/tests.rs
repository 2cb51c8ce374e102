use iosmux_pairing::info::PeerInfo;
use iosmux_xpc::rsd::Catalogue;

use super::*;
use crate::identity::Overrides;

fn phone() -> PhoneIdentity {
    let json = include_str!("../../../tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
    let catalogue = Catalogue::from_json(&serde_json::from_str(json).unwrap()).unwrap();
    PhoneIdentity::new(&catalogue, None, &Overrides::default()).unwrap()
}

fn accessory(config: PairingConfig) -> Accessory {
    Accessory::new(config, &phone(), false).unwrap()
}

fn host(number: u64) -> PeerIdentity {
    let identity =
        Identity::generate(format!("HOST-{number}"), &mut ChaCha20Rng::seed_from_u64(number)).unwrap();
    PeerIdentity {
        identifier: identity.identifier().to_owned(),
        public_key: identity.public_key(),
        info: PeerInfo::default(),
    }
}

#[test]
fn the_seed_gives_the_identity_and_no_seed_another_one() {
    let seeded = |seed| accessory(PairingConfig { identity_seed: seed, ..PairingConfig::default() });
    assert_eq!(seeded(Some(1)).public_key(), seeded(Some(1)).public_key());
    assert_ne!(seeded(Some(1)).public_key(), seeded(Some(2)).public_key());
    assert_ne!(seeded(None).public_key(), seeded(None).public_key());
}

#[test]
fn a_directory_keeps_identity_and_hosts_and_both_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone");
    let config = PairingConfig { state_dir: Some(path), ..PairingConfig::default() };
    let first = accessory(config.clone());
    for number in 0..=u64::try_from(HOSTS_MAX).unwrap() {
        first.remember(&host(number)).unwrap();
        first.remember(&host(number)).unwrap();
    }
    let hosts = first.hosts.borrow().clone();
    assert_eq!(hosts.len(), HOSTS_MAX);
    assert!(hosts.contains_key(&format!("HOST-{HOSTS_MAX}")), "the newest stays");
    let again = accessory(config);
    assert_eq!(again.public_key(), first.public_key());
    assert_eq!(*again.hosts.borrow(), hosts);
}

#[test]
fn the_announcement_is_the_one_of_a_paired_phone() {
    let accessory = accessory(PairingConfig { identity_seed: Some(1), ..PairingConfig::default() });
    let strings = accessory.announcement("2BE6E510-0325-4365-923E-B14C6F57DB3A");
    let strings: Vec<_> = strings.into_iter().map(|string| String::from_utf8(string).unwrap()).collect();
    insta::assert_snapshot!(strings.join("\n"), @r"
    identifier=2BE6E510-0325-4365-923E-B14C6F57DB3A
    authTag=6wfPfuKl
    ver=26
    minVer=8
    flags=0
    ");
}

#[test]
fn what_it_says_about_itself_comes_from_the_catalogue() {
    let config = accessory(PairingConfig::default()).device(Channel::Rsd);
    assert_eq!(config.description.model, "iPhone11,6");
    assert_eq!(config.description.serial_number, "F2LTEST00001");
    assert_eq!(config.description.ecid, Some(4660));
    let device = config.handshake.device.unwrap();
    assert_eq!((device.identifier, device.name.unwrap()), (phone().udid, "iPhone-001234".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_back_off_begins_with_the_first_attempt() {
    let policy = PairPolicy::BackOff(Duration::from_secs(60));
    let accessory = accessory(PairingConfig { policy, ..PairingConfig::default() });
    tokio::time::advance(Duration::from_secs(1000)).await;
    let attempt = || accessory.device(Channel::Rsd).policy;
    let until = Duration::from_secs(1060) + ROUNDING;
    assert_eq!(attempt(), device::PairPolicy::BackOff { until });
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(attempt(), device::PairPolicy::BackOff { until });
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(attempt(), device::PairPolicy::AskUser);
}
