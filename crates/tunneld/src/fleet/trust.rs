//! Trust between this host and a phone: verified with the record, else made.

use std::net::SocketAddrV6;
use std::time::Duration;

use iosmux_pairing::control::host::{ExpectedDevice, HostConfig, USERS_CONSENT};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::io::host::{Front, Host, HostError, Start, Welcome};
use iosmux_pairing::io::random;
use iosmux_pairing::io::wire::{RemoteXpc, WireError};
use iosmux_pairing::record::PairRecord;
use iosmux_pairing::store::{Store, StoreError};
use zeroize::Zeroizing;

use super::config::FleetConfig;
use super::dial::{self, DialError};
use crate::model::{Concern, same_udid};
use crate::phone::{Failure, Kind};

/// How much longer the dialogue waits for the phone's user than the phone's machine does.
const CONSENT_SLACK: Duration = Duration::from_secs(5);

/// A control channel on which tunnels can be asked for.
pub(crate) type ControlChannel = Host<RemoteXpc>;

/// Why there is no trust.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the phone closes the connection after every pairing")]
    ClosesAlways,
}

/// Trusted, and whether that is new.
pub(crate) struct Trusted {
    pub(crate) channel: ControlChannel,
    pub(crate) newly_paired: bool,
}

/// Makes a phone trust this host; `asked` is called when the phone asks its user.
pub(crate) async fn pair(
    udid: &str,
    service: SocketAddrV6,
    may_ask: bool,
    config: &FleetConfig,
    asked: impl FnMut() + Send,
) -> Result<Trusted, TrustError> {
    let record = config.store.find(udid, same_udid)?;
    // The name under which the record is found again, and no other phone's.
    let name = record.as_ref().map_or(udid, |record| record.identifier.as_str()).to_owned();
    let expected = ExpectedDevice { name, same: same_udid };
    let mut front = People { store: &config.store, pin: config.pin.as_ref(), asked };
    match talk(&expected, service, may_ask, record, config, &mut front).await? {
        Start::Ready(channel, welcome) => Ok(Trusted { channel, newly_paired: welcome.paired }),
        Start::Reconnect(first) => {
            let Welcome { record, .. } = *first;
            match talk(&expected, service, may_ask, record, config, &mut front).await? {
                Start::Ready(channel, _) => Ok(Trusted { channel, newly_paired: true }),
                Start::Reconnect(_) => Err(TrustError::ClosesAlways),
            }
        }
    }
}

async fn talk<F: FnMut() + Send>(
    expected: &ExpectedDevice,
    service: SocketAddrV6,
    may_ask: bool,
    record: Option<PairRecord>,
    config: &FleetConfig,
    front: &mut People<'_, F>,
) -> Result<Start<RemoteXpc>, TrustError> {
    let stream = dial::recorded(dial::connect(service).await?, service, config.recorder.as_ref())?;
    let wire = RemoteXpc::connect(stream, dial::session()).await?;
    let identity = config.store.host_identity(&config.host_name, &mut random())?;
    let mut host = HostConfig::new(config.host_name.as_str(), identity, record);
    host.expected = Some(expected.clone());
    host.allow_setup = may_ask;
    // The phone's own deadline decides; this one only ends what that one left behind.
    host.consent_timeout = config.policy.trust.saturating_add(CONSENT_SLACK);
    Ok(Host::start(wire, host, front).await?)
}

/// The records and the people on this side.
struct People<'a, F> {
    store: &'a Store,
    pin: Option<&'a Zeroizing<String>>,
    asked: F,
}

impl<F: FnMut() + Send> Front for People<'_, F> {
    fn save(&mut self, record: &PairRecord) -> Result<(), StoreError> {
        self.store.save(record)
    }

    fn awaiting_consent(&mut self) {
        (self.asked)();
    }

    async fn pin(&mut self) -> Option<Zeroizing<String>> {
        self.pin.cloned()
    }
}

impl TrustError {
    /// What it means for the next attempt.
    pub(crate) fn failure(&self) -> Failure {
        let text = self.to_string();
        let hold = |next_step: &str| Failure::new(Kind::Hold, text.clone(), next_step);
        match self {
            Self::Host(HostError::Control(error)) => match error {
                ControlError::Rejected { .. } => {
                    hold("pair again (or attach the phone again), and tap Trust on the phone")
                }
                ControlError::BackOff { retry_in, .. } => {
                    Failure { kind: Kind::RetryAfter(*retry_in), ..Failure::retry(text) }
                }
                ControlError::WrongPin { .. } => hold("pair again with the PIN that the device shows"),
                ControlError::Refused { .. } => hold("attach the phone again, then pair again"),
                ControlError::IdentityChanged { .. } => {
                    hold("if the phone was erased or replaced: unpair it, then pair again")
                }
                ControlError::OtherDevice { .. } => hold("attach the phone again, then pair again"),
                // The user is not asked again without a person here who wants it.
                ControlError::Timeout { waiting_for: USERS_CONSENT, after } => Failure::untrusted(*after),
                ControlError::NotPaired => hold("pair, and tap Trust on the phone"),
                ControlError::PairSetupNotAllowed => hold("attach the phone by USB, then pair"),
                _ => Failure::retry(text),
            },
            Self::Host(HostError::NoPin) => hold("pair with the PIN that the device shows"),
            Self::Store(error) | Self::Host(HostError::Store(error)) => match error {
                StoreError::Io { .. } | StoreError::Permissions { .. } | StoreError::WrongKind { .. } => {
                    hold("mend the directory of pair records, then pair again").about(Concern::Rights)
                }
                _ => hold("take the named file away (or unpair the phone), then pair again"),
            },
            _ => Failure::retry(text),
        }
    }
}
