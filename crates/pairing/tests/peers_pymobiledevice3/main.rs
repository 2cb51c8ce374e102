//! pymobiledevice3's `PairableHost` accepts our host's pair-setup: packets of JSON, no pair-verify, its own PIN.
#![cfg(feature = "peer-tests")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use iosmux_pairing::control::host::HostConfig;
use iosmux_pairing::error::ControlError;
use iosmux_pairing::identity::{Identity, host_identifier};
use iosmux_pairing::io::host::{Front, Host, HostError, Start};
use iosmux_pairing::io::random;
use iosmux_pairing::io::wire::RpPairing;
use iosmux_pairing::record::PairRecord;
use iosmux_pairing::store::StoreError;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(40);
const UDID: &str = "00008120-000000000000001E";

/// Its accessory, in a Python script of ours.
struct Accessory {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Accessory {
    fn start() -> Accessory {
        let Some(python) = std::env::var_os("IOSMUX_PEER_PYTHON") else {
            panic!(
                "IOSMUX_PEER_PYTHON is not set: run `cargo xtask test peers`, which provides the peers and sets it"
            )
        };
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers_pymobiledevice3/pairable_host.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Accessory { child, lines }
    }

    /// What it says next.
    async fn says(&mut self) -> Value {
        let line = timeout(DEADLINE, self.lines.next_line()).await.expect("it says nothing").unwrap();
        let line = line.expect("the script ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// Its good end.
    async fn end(mut self) {
        let ending = timeout(DEADLINE, self.child.wait()).await.expect("it does not end").unwrap();
        assert!(ending.success(), "{ending}");
    }
}

/// Somebody who reads the PIN where the accessory shows it, and perhaps mistypes it.
struct Person {
    accessory: Accessory,
    mistype: bool,
    saved: Vec<PairRecord>,
}

impl Front for Person {
    fn save(&mut self, record: &PairRecord) -> Result<(), StoreError> {
        self.saved.push(record.clone());
        Ok(())
    }

    async fn pin(&mut self) -> Option<Zeroizing<String>> {
        let pin = self.accessory.says().await["pin"].as_str().expect("its PIN").to_owned();
        assert!(pin.len() == 6 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin}");
        let other = if pin == "000000" { "000001" } else { "000000" };
        Some(Zeroizing::new(if self.mistype { other.to_owned() } else { pin }))
    }
}

/// Our host, which does not try to verify, pairs with it.
async fn pair(config: HostConfig, mistype: bool) -> (Result<Start<RpPairing<TcpStream>>, HostError>, Person) {
    let mut person = Person { accessory: Accessory::start(), mistype, saved: Vec::new() };
    let port = u16::try_from(person.accessory.says().await["port"].as_u64().unwrap()).unwrap();
    let wire = RpPairing::new(TcpStream::connect(("::1", port)).await.unwrap());
    let end = timeout(DEADLINE, Host::start(wire, config, &mut person)).await.expect("an end");
    (end, person)
}

fn config() -> HostConfig {
    let identity = Identity::generate(host_identifier("vm"), &mut random()).unwrap();
    let mut config = HostConfig::new("vm", identity, None);
    (config.attempt_verify, config.ask_unlock_key) = (false, false);
    // It expects a device on the other side.
    config.description.udid = Some(UDID.to_owned());
    config
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::test]
async fn it_accepts_our_pair_setup_with_its_pin() {
    let config = config();
    let (account, irk) =
        (config.identity.identifier().to_owned(), hex(config.identity.alt_irk().expose().as_slice()));
    let (end, mut person) = pair(config, false).await;
    let Start::Ready(host, welcome) = end.unwrap() else { panic!("it closed after the pair-setup") };
    assert!(welcome.paired);
    let said = person.accessory.says().await;
    // It knows us from M5, with the model that every host sends,
    let expected =
        json!({"account": account, "irk": irk, "model": "computer-model", "name": "vm", "udid": UDID});
    assert_eq!(said["accepted"], expected);
    // and we know it from M6.
    let [record] = &person.saved[..] else { panic!("{} records were kept", person.saved.len()) };
    let peer = record.peer.as_ref().unwrap();
    assert_eq!(said["identifier"], peer.identifier.as_str());
    assert_eq!(said["key"], hex(peer.public_key.as_bytes()));
    assert_eq!(said["irk"], hex(record.info.alt_irk.as_ref().unwrap().expose()));
    let info = (record.info.name.as_deref(), record.info.model.as_deref(), record.info.udid.as_deref());
    assert_eq!(info, (Some("Their Mac"), Some("Mac17,7"), Some("THEIR-UDID")));
    host.close().await;
    person.accessory.end().await;
}

#[tokio::test]
async fn it_refuses_a_mistyped_pin_and_we_say_so() {
    let (end, mut person) = pair(config(), true).await;
    assert!(matches!(end, Err(HostError::Control(ControlError::WrongPin { .. }))), "{end:?}");
    let said = person.accessory.says().await;
    assert!(said["refused"].as_str().is_some_and(|text| text.contains("PIN")), "{said}");
    assert!(person.saved.is_empty());
    drop(end);
    person.accessory.end().await;
}
