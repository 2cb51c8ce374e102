//! The simulated iPhones of the demo, one in each phone namespace.

use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow};
use futures_util::future::{select_all, try_join_all};
use iosmux_fakephone::accessory::{PairPolicy, PairingConfig};
use iosmux_fakephone::net::{Phone, PhoneConfig, Ready};
use iosmux_lab::{Lab, Station};
use iosmux_xpc::rsd::Catalogue;
use tokio::sync::oneshot;

/// A captured Handshake, from which the phones are made; see fixtures/README.md.
const CATALOGUE: &str = include_str!("../../fixtures/iphone11,6_ios17.0.3_trusted.json");
/// What a phone offers on its link; see fixtures/README.md.
const UNTRUSTED: &str = include_str!("../../fixtures/iphone15,3_ios17.0_untrusted.json");

/// What the phones do when the VM asks to be trusted, and where they remember it.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) policy: PairPolicy,
    /// Each phone has a folder in it, by the name of its namespace; without it they remember nothing.
    pub(super) directory: Option<PathBuf>,
}

/// Phones that announce themselves. They live as long as their namespaces.
pub(super) struct Phones {
    pub(super) ready: Vec<Ready>,
    ends: Vec<oneshot::Receiver<Error>>,
}

impl Phones {
    /// Starts a phone in every phone namespace and waits until all announce themselves.
    pub(super) async fn start(lab: &Lab, state: &State) -> Result<Self> {
        let (catalogue, untrusted) = (catalogue(CATALOGUE)?, catalogue(UNTRUSTED)?);
        let captured = catalogue.udid().context("the demo's catalogue has no UDID")?;
        let starts = lab.phones.iter().enumerate().map(|(number, station)| {
            let udid = (number > 0).then(|| derived_udid(captured, number));
            let config = PhoneConfig {
                udid,
                untrusted_catalogue: Some(untrusted.clone()),
                pairing: state.pairing(station),
                ..PhoneConfig::new(station.interface, catalogue.clone())
            };
            start(station, config)
        });
        let (ready, ends) = try_join_all(starts).await?.into_iter().unzip();
        Ok(Self { ready, ends })
    }

    /// Waits until one of them fails, and says why.
    pub(super) async fn failure(&mut self) -> Error {
        let (ended, ..) = select_all(&mut self.ends).await;
        ended
            .unwrap_or_else(|_| anyhow!("a simulated phone ended without a reason"))
            .context("a simulated phone failed")
    }
}

impl State {
    fn pairing(&self, station: &Station) -> PairingConfig {
        let directory = self.directory.as_ref();
        PairingConfig {
            policy: self.policy.clone(),
            state_dir: directory.map(|directory| directory.join(station.namespace.name())),
            ..PairingConfig::default()
        }
    }
}

fn catalogue(text: &str) -> Result<Catalogue> {
    let json = serde_json::from_str(text).context("read the demo's catalogue")?;
    Ok(Catalogue::from_json(&json)?)
}

async fn start(station: &Station, config: PhoneConfig) -> Result<(Ready, oneshot::Receiver<Error>)> {
    let start = move || async move {
        let phone = Phone::start(config).await?;
        let ready = phone.ready().context("the phone lost its link at once")?;
        let (report, end) = oneshot::channel();
        tokio::task::spawn_local(async move {
            if let Err(error) = phone.run(std::future::pending()).await {
                // Nobody waits for it when the demo ends.
                let _ = report.send(error.into());
            }
        });
        anyhow::Ok((ready, end))
    };
    station.namespace.run(start).await?
}

/// The UDID of a further phone: the captured one, counted up. It belongs to no phone.
fn derived_udid(captured: &str, number: usize) -> String {
    let (chip, ecid) = captured.split_once('-').unwrap_or((captured, ""));
    let ecid = u64::from_str_radix(ecid, 16).unwrap_or_default();
    format!("{chip}-{:016X}", ecid.wrapping_add(u64::try_from(number).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogues_are_the_captured_ones() {
        let trusted = catalogue(CATALOGUE).unwrap();
        assert_eq!(trusted.product_type(), Some("iPhone11,6"));
        assert_eq!(trusted.services.len(), 67);
        assert_eq!(catalogue(UNTRUSTED).unwrap().services.len(), 7);
    }

    #[test]
    fn further_udids_keep_their_form_and_differ() {
        assert_eq!(derived_udid("00008020-0000000000001234", 1), "00008020-0000000000001235");
        assert_eq!(derived_udid("00008020-0000000000001234", 9), "00008020-000000000000123D");
    }
}
