//! Simulated phones, one in each phone namespace; they remember whom they trust.

use std::path::Path;
use std::time::Instant;

use futures_util::future::join_all;
use iosmux_fakephone::accessory::PairingConfig;
use iosmux_fakephone::net::{Phone, PhoneConfig};
use iosmux_lab::{Lab, Station};
use iosmux_xpc::rsd::Catalogue;
use tokio::sync::oneshot;

const TRUSTED: &str = include_str!("../../../fakephone/tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
const UNTRUSTED: &str = include_str!("../../../fakephone/tests/fixtures/iphone15,3_ios17.0_untrusted.json");

pub(crate) struct Phones {
    /// When all of them had announced themselves.
    pub(crate) announced: Instant,
    running: Vec<(oneshot::Sender<()>, oneshot::Receiver<()>)>,
}

impl Phones {
    pub(crate) async fn start(lab: &Lab, files: &Path) -> Self {
        let starts = lab.phones.iter().enumerate().map(|(number, station)| start(station, number, files));
        let running = join_all(starts).await;
        Self { announced: Instant::now(), running }
    }

    pub(crate) async fn stop(self) {
        let (stops, ends): (Vec<_>, Vec<_>) = self.running.into_iter().unzip();
        drop(stops);
        join_all(ends).await;
    }
}

async fn start(
    station: &Station,
    number: usize,
    files: &Path,
) -> (oneshot::Sender<()>, oneshot::Receiver<()>) {
    let config = PhoneConfig {
        udid: Some(format!("00008020-{:016X}", 0x1000 + number)),
        untrusted_catalogue: Some(catalogue(UNTRUSTED)),
        pairing: PairingConfig {
            state_dir: Some(files.join(format!("phone{number}"))),
            ..PairingConfig::default()
        },
        ..PhoneConfig::new(station.interface, catalogue(TRUSTED))
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, ended) = oneshot::channel::<()>();
    let start = move || async move {
        let phone = Phone::start(config).await.expect("a phone");
        tokio::task::spawn_local(async move {
            phone.run(async { drop(stopped.await) }).await.expect("the phone runs");
            drop(tell);
        });
    };
    station.namespace.run(start).await.expect("the phone's namespace");
    (stop, ended)
}

fn catalogue(text: &str) -> Catalogue {
    Catalogue::from_json(&serde_json::from_str(text).expect("JSON")).expect("a catalogue")
}
