//! Pairing from the VM: verify with the record of a phone, else pair and keep one.

use std::net::SocketAddrV6;
use std::path::Path;

use anyhow::{Context, Result, bail};
use iosmux_capture::Recorder;
use iosmux_pairing::control::host::HostConfig;
use iosmux_pairing::identity::{Identity, host_identifier};
use iosmux_pairing::io::host::{Front, Host, Start, Welcome};
use iosmux_pairing::io::random;
use iosmux_pairing::io::wire::RemoteXpc;
use iosmux_pairing::record::PairRecord;
use iosmux_pairing::store::{Store, StoreError};
use iosmux_xpc::session::SessionConfig;
use zeroize::Zeroizing;

use super::rsd;

/// What the phones know the VM by.
const HOST_NAME: &str = "iosmux-demo";

/// A control channel on which tunnels can be asked for.
pub(super) type ControlChannel = Host<RemoteXpc>;

/// The VM's side of every pairing.
#[derive(Clone)]
pub(super) struct Records {
    identity: Identity,
    /// Without it records end with the demo.
    store: Option<Store>,
    /// What is typed when a phone shows a PIN.
    pin: Option<Zeroizing<String>>,
}

/// How a phone came to trust the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A pair-setup was done.
    Paired,
    /// The record of an earlier run was enough.
    Verified,
}

impl Records {
    /// Opens the directory of records, if there is to be one.
    pub(super) fn open(directory: Option<&Path>, pin: Option<Zeroizing<String>>) -> Result<Self> {
        let store = directory.map(Store::open).transpose()?;
        let identity = match &store {
            Some(store) => store.host_identity(HOST_NAME, &mut random())?,
            None => Identity::generate(host_identifier(HOST_NAME), &mut random())?,
        };
        Ok(Self { identity, store, pin })
    }

    fn load(&self, udid: &str) -> Result<Option<PairRecord>> {
        Ok(self.store.as_ref().map(|store| store.load(udid)).transpose()?.flatten())
    }
}

/// Records are kept in the directory, and the PIN is typed that the command line gave.
impl Front for Records {
    fn save(&mut self, record: &PairRecord) -> Result<(), StoreError> {
        self.store.as_ref().map_or(Ok(()), |store| store.save(record))
    }

    async fn pin(&mut self) -> Option<Zeroizing<String>> {
        self.pin.clone()
    }
}

/// Makes a phone trust the VM.
pub(super) async fn pair(
    udid: &str,
    service: SocketAddrV6,
    mut records: Records,
    recorder: Option<&Recorder>,
) -> Result<(ControlChannel, Trust)> {
    let record = records.load(udid)?;
    let paired = dialogue(service, record, &mut records, recorder).await;
    paired.with_context(|| format!("pair with {udid}"))
}

async fn dialogue(
    service: SocketAddrV6,
    record: Option<PairRecord>,
    records: &mut Records,
    recorder: Option<&Recorder>,
) -> Result<(ControlChannel, Trust)> {
    let (channel, welcome) = match talk(service, record, records, recorder).await? {
        Start::Ready(channel, welcome) => (channel, welcome),
        Start::Reconnect(first) => {
            let Start::Ready(channel, second) = talk(service, first.record, records, recorder).await? else {
                bail!("the phone closes the connection after every pairing")
            };
            (channel, Box::new(Welcome { paired: true, ..*second }))
        }
    };
    let trust = if welcome.paired { Trust::Paired } else { Trust::Verified };
    Ok((channel, trust))
}

async fn talk(
    service: SocketAddrV6,
    record: Option<PairRecord>,
    records: &mut Records,
    recorder: Option<&Recorder>,
) -> Result<Start<RemoteXpc>> {
    let stream = rsd::recorded(rsd::connect(service).await?, service, recorder)?;
    let wire = RemoteXpc::connect(stream, SessionConfig::default()).await?;
    let config = HostConfig::new(HOST_NAME, records.identity.clone(), record);
    Ok(Host::start(wire, config, records).await?)
}

/// What the step of pairing says.
pub(super) fn summary(trusts: &[Trust]) -> String {
    let verified = trusts.iter().filter(|trust| **trust == Trust::Verified).count();
    match (trusts.len() - verified, verified) {
        (paired, 0) => format!("{paired} paired"),
        (0, 1) => "verified from the record".to_owned(),
        (0, verified) => format!("{verified} verified from their records"),
        (paired, verified) => format!("{paired} paired, {verified} verified from their records"),
    }
}

#[cfg(test)]
mod tests {
    use super::Trust::{Paired, Verified};
    use super::*;

    #[test]
    fn the_step_tells_a_new_pairing_from_a_record() {
        assert_eq!(summary(&[Paired]), "1 paired");
        assert_eq!(summary(&[Verified]), "verified from the record");
        assert_eq!(summary(&[Verified, Verified]), "2 verified from their records");
        assert_eq!(summary(&[Paired, Verified]), "1 paired, 1 verified from their records");
    }
}
