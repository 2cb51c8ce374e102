//! The phone's long-term identity and the hosts that it paired with, in memory or in a directory.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use iosmux_pairing::auth_tag::auth_tag_text;
use iosmux_pairing::control::device::{self, DeviceConfig, KnownHosts};
use iosmux_pairing::identity::{Identity, IdentityError, host_identifier};
use iosmux_pairing::info::DeviceDescription;
use iosmux_pairing::io::random;
use iosmux_pairing::listener::ed25519_public_key_info;
use iosmux_pairing::message::{DeviceOptions, HandshakeResponse, HostKey, PeerDeviceInfo};
use iosmux_pairing::record::{PairRecord, PinnedPeer, RemoteUnlock};
use iosmux_pairing::setup::PeerIdentity;
use iosmux_pairing::store::{Store, StoreError};
use iosmux_xpc::{Dictionary, Object};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Channel;
use super::policy::PairPolicy;
use crate::identity::Identity as PhoneIdentity;

/// What devices say that they speak. Source: protocol.md §5.2.
const WIRE_PROTOCOL_VERSION: i64 = 26;
/// The oldest that they speak. Source: protocol.md §2.
const MIN_VERSION: i64 = 8;
/// Base64 text, as a phone's; what is inside is nothing that hosts look at. Source: protocol.md §5.7.
const UNLOCK_KEY: &str = "ZmFrZXBob25lIGhhcyBubyBlc2Nyb3cgYmFnLCBpdCBpcyBuZXZlciBsb2NrZWQ=";
/// No catalogue holds a Bluetooth address; one that nobody has. Source: protocol.md §5.5 (values are not validated).
const BLUETOOTH_ADDRESS: &str = "02:00:00:00:00:00";
/// Hosts that are remembered; one more takes the place of another. The bound is our own.
const HOSTS_MAX: usize = 64;

/// The machine tells whole seconds, rounded down; the first attempt is told all of them.
const ROUNDING: Duration = Duration::from_millis(999);

/// How a phone pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingConfig {
    /// What its user does.
    pub policy: PairPolicy,
    /// How long the user takes.
    pub consent_delay: Duration,
    /// Makes its long-term identity the same at every start; without it, and without a directory, it is new each time.
    pub identity_seed: Option<u64>,
    /// Keeps its identity and its hosts: a directory of mode 0700, made if it is not there.
    pub state_dir: Option<PathBuf>,
}

impl Default for PairingConfig {
    /// Trusts every host after a fifth of a second and forgets it when it ends.
    fn default() -> PairingConfig {
        PairingConfig {
            policy: PairPolicy::default(),
            consent_delay: Duration::from_millis(200),
            identity_seed: None,
            state_dir: None,
        }
    }
}

/// Why a phone has no long-term identity.
#[derive(Debug, thiserror::Error)]
pub enum AccessoryError {
    /// The directory can't be used.
    #[error("the phone's pairings can't be kept: {0}")]
    Store(#[from] StoreError),
    /// The UDID can't be in a pairing.
    #[error("the phone's UDID can't name a pairing: {0}")]
    Identity(#[from] IdentityError),
}

/// One phone's side of every pairing.
#[derive(Debug)]
pub(crate) struct Accessory {
    config: PairingConfig,
    identity: Identity,
    description: DeviceDescription,
    close_after_pairing: bool,
    store: Option<Store>,
    hosts: watch::Sender<KnownHosts>,
    epoch: Instant,
    /// Set by the first attempt.
    backs_off_until: OnceLock<Duration>,
}

impl Accessory {
    /// Reads or makes the identity. Must be called within a tokio runtime: time is its.
    pub(crate) fn new(
        config: PairingConfig,
        phone: &PhoneIdentity,
        close_after_pairing: bool,
    ) -> Result<Accessory, AccessoryError> {
        iosmux_pairing::identity::check_identifier(&phone.udid)?;
        let store = config.state_dir.as_ref().map(Store::open).transpose()?;
        let identity = identity(&config, store.as_ref(), &phone.udid)?;
        let hosts = store.as_ref().map(Store::list).transpose()?.unwrap_or_default();
        let hosts: KnownHosts = hosts
            .into_iter()
            .filter_map(|record| Some((record.identifier, record.peer?.public_key)))
            .collect();
        Ok(Accessory {
            description: description(phone),
            config,
            identity,
            close_after_pairing,
            store,
            hosts: watch::Sender::new(hosts),
            epoch: Instant::now(),
            backs_off_until: OnceLock::new(),
        })
    }

    /// The time on the clock of [`DeviceConfig`]s.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// How long the user takes, and what the answer is then.
    pub(crate) fn consent(&self) -> (Duration, bool) {
        (self.config.consent_delay, self.config.policy != PairPolicy::Reject)
    }

    /// Follows the hosts that it paired with.
    pub(crate) fn hosts(&self) -> watch::Receiver<KnownHosts> {
        self.hosts.subscribe()
    }

    /// Its key as DER SubjectPublicKeyInfo.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        ed25519_public_key_info(self.identity.public_key().as_bytes())
    }

    /// The TXT strings of `_remotepairing._tcp` under a rotating identifier. Source: protocol.md §2.
    pub(crate) fn announcement(&self, identifier: &str) -> Vec<Vec<u8>> {
        let tag = auth_tag_text(self.identity.alt_irk().expose(), identifier);
        let strings = [
            format!("identifier={identifier}"),
            format!("authTag={tag}"),
            format!("ver={WIRE_PROTOCOL_VERSION}"),
            format!("minVer={MIN_VERSION}"),
            "flags=0".to_owned(),
        ];
        strings.map(String::into_bytes).into()
    }

    /// What the device of a new control channel is told.
    pub(crate) fn device(&self, channel: Channel) -> DeviceConfig {
        let pinless = !matches!(self.config.policy, PairPolicy::Pin(_));
        let over_rsd = channel == Channel::Rsd;
        DeviceConfig {
            identity: self.identity.clone(),
            description: self.description.clone(),
            handshake: HandshakeResponse {
                wire_protocol_version: WIRE_PROTOCOL_VERSION,
                // The five older names, which frida requires. Source: protocol.md §5.2.
                options: DeviceOptions {
                    allows_pair_setup: Some(over_rsd),
                    allows_pinless_pairing: Some(pinless),
                    allows_promptless_automation_pairing_upgrade: Some(false),
                    allows_upgrade_of_lockdown_pairings: None,
                    allows_sharing_sensitive_info: Some(false),
                    allows_incoming_tunnel_connections: Some(true),
                },
                // Absent on a network before verification. Source: protocol.md §5.2.
                device: over_rsd.then(|| self.peer_device_info()),
            },
            known_hosts: self.hosts.borrow().clone(),
            policy: self.policy(),
            unlock_key: Ok(HostKey::new(UNLOCK_KEY)),
            close_after_setup: self.close_after_pairing,
        }
    }

    /// Keeps a host.
    pub(crate) fn remember(&self, host: &PeerIdentity) -> Result<(), StoreError> {
        tracing::info!(host = %host.identifier, key = %host.public_key.fingerprint(), "paired");
        let forgotten = self.hosts.borrow().keys().find(|known| **known != host.identifier).cloned();
        let forgotten = forgotten.filter(|_| {
            let hosts = self.hosts.borrow();
            hosts.len() >= HOSTS_MAX && !hosts.contains_key(&host.identifier)
        });
        if let Some(store) = &self.store {
            store.save(&self.record(host))?;
            forgotten.iter().try_for_each(|known| store.remove(known).map(drop))?;
        }
        self.hosts.send_modify(|hosts| {
            if let Some(known) = &forgotten {
                hosts.remove(known);
            }
            hosts.insert(host.identifier.clone(), host.public_key);
        });
        Ok(())
    }

    /// The store's record, seen from this side: the device is the one whose keys are ours.
    fn record(&self, host: &PeerIdentity) -> PairRecord {
        PairRecord {
            identifier: host.identifier.clone(),
            host: self.identity.clone(),
            peer: Some(PinnedPeer { identifier: host.identifier.clone(), public_key: host.public_key }),
            info: host.info.clone(),
            remote_unlock: RemoteUnlock::Unknown,
        }
    }

    fn policy(&self) -> device::PairPolicy {
        match &self.config.policy {
            // The dialogue answers for the user.
            PairPolicy::Accept | PairPolicy::Reject => device::PairPolicy::AskUser,
            PairPolicy::Pin(pin) => device::PairPolicy::Pin(Zeroizing::new(pin.digits().to_owned())),
            PairPolicy::BackOff(delay) => {
                let until = *self
                    .backs_off_until
                    .get_or_init(|| self.now().saturating_add(*delay).saturating_add(ROUNDING));
                let over = self.now() >= until;
                if over { device::PairPolicy::AskUser } else { device::PairPolicy::BackOff { until } }
            }
        }
    }

    /// Over RSD the identifier is the UDID. Source: protocol.md §5.2.
    fn peer_device_info(&self) -> PeerDeviceInfo {
        let DeviceDescription { model, name, udid, ecid, .. } = self.description.clone();
        PeerDeviceInfo {
            identifier: udid.clone(),
            name: Some(name),
            model: Some(model),
            udid: Some(udid),
            ecid,
            kvs_data: None,
            kvs_includes_sensitive_info: Some(false),
        }
    }
}

fn identity(config: &PairingConfig, store: Option<&Store>, udid: &str) -> Result<Identity, AccessoryError> {
    let mut seeded = config.identity_seed.map(ChaCha20Rng::seed_from_u64);
    let mut random = random();
    let rng: &mut dyn rand_core::CryptoRng = match &mut seeded {
        Some(seeded) => seeded,
        None => &mut random,
    };
    Ok(match store {
        Some(store) => store.host_identity(udid, rng)?,
        None => Identity::generate(host_identifier(udid), rng)?,
    })
}

/// What it says about itself in M6, from the catalogue.
fn description(phone: &PhoneIdentity) -> DeviceDescription {
    let properties = &phone.handshake().properties;
    let text = |key: &str| properties.get(key).and_then(Object::as_str).unwrap_or_default().to_owned();
    DeviceDescription {
        model: text("ProductType"),
        name: phone.host_name.trim_end_matches(".local").to_owned(),
        udid: phone.udid.clone(),
        serial_number: text("SerialNumber"),
        bt_addr: BLUETOOTH_ADDRESS.to_owned(),
        ecid: ecid(properties),
    }
}

fn ecid(properties: &Dictionary) -> Option<u64> {
    properties.get("UniqueChipID").and_then(Object::as_u64)
}

#[cfg(test)]
mod tests;
