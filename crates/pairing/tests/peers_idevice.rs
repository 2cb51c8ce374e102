//! The idevice crate as a peer, over a stream in memory: its accessory accepts our host, its host our device.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use idevice::remote_pairing::{
    PairableHost, PairableHostInfo, RemotePairingClient, RpPairingFile, RpPairingSocket, compute_auth_tag,
};
use iosmux_pairing::auth_tag::auth_tag;
use iosmux_pairing::control::device::{
    DeviceAction, DeviceConfig, DeviceControl, DeviceEvent, Listening, PairPolicy,
};
use iosmux_pairing::control::host::{HostAction, HostConfig, HostControl, HostEvent};
use iosmux_pairing::envelope::{Envelope, rppairing};
use iosmux_pairing::listener::ed25519_public_key_info;
use iosmux_pairing::record::PairRecord;
use rand_chacha::ChaCha20Rng;
use support::{UDID, device_config, host_config, rng};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use zeroize::Zeroizing;

const NOW: Duration = Duration::from_secs(1000);
const LIMIT: Duration = Duration::from_secs(60);

struct Channel {
    stream: DuplexStream,
    decoder: rppairing::Decoder,
}

impl Channel {
    fn new(stream: DuplexStream) -> Self {
        Self { stream, decoder: rppairing::Decoder::new() }
    }

    async fn send(&mut self, envelope: &Envelope) {
        self.stream.write_all(&rppairing::encode(envelope).unwrap()).await.unwrap();
    }

    /// The next message, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Envelope> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(envelope) = self.decoder.next_envelope().unwrap() {
                return Some(envelope);
            }
            match self.stream.read(&mut buffer).await.unwrap() {
                0 => return None,
                len => self.decoder.push(&buffer[..len]),
            }
        }
    }
}

/// Our device on one end of a stream, until the host closes it.
async fn serve(stream: DuplexStream, config: DeviceConfig) -> DeviceConfig {
    let mut channel = Channel::new(stream);
    let mut device = DeviceControl::new(config.clone());
    let mut rng = rng(42);
    while let Some(envelope) = channel.next().await {
        step(&mut device, DeviceEvent::Message(envelope), &mut channel, &mut rng).await;
    }
    DeviceConfig { known_hosts: device.known_hosts().clone(), ..config }
}

async fn step(device: &mut DeviceControl, event: DeviceEvent, channel: &mut Channel, rng: &mut ChaCha20Rng) {
    let mut events = vec![event];
    while let Some(event) = events.pop() {
        for action in device.on(NOW, event, rng).unwrap() {
            match action {
                DeviceAction::Send(envelope) => channel.send(&envelope).await,
                DeviceAction::OpenListener(request) => {
                    assert!(!request.key.is_empty());
                    events.push(DeviceEvent::Listening(Ok(Listening {
                        port: 50123,
                        device_public_key: ed25519_public_key_info(&[7; 32]),
                        service_name: None,
                    })));
                }
                _ => {}
            }
        }
    }
}

/// Our host on one end of a stream, until it has nothing more to ask.
async fn pair(stream: DuplexStream, config: HostConfig, pin: Arc<Mutex<Option<String>>>) -> PairRecord {
    let mut channel = Channel::new(stream);
    let mut host = HostControl::new(config);
    let mut rng = rng(43);
    let mut events = vec![HostEvent::Start];
    let mut saved = None;
    loop {
        let event = match events.pop() {
            Some(event) => event,
            None => HostEvent::Message(channel.next().await.expect("the accessory closed too early")),
        };
        for action in host.on(NOW, event, &mut rng).unwrap() {
            match action {
                HostAction::Send(envelope) => channel.send(&envelope).await,
                HostAction::NeedPin => {
                    let pin = pin.lock().unwrap().clone().expect("the accessory shows its PIN before M2");
                    events.push(HostEvent::Pin(Zeroizing::new(pin)));
                }
                HostAction::Save(record) => saved = Some(*record),
                HostAction::Ready => return saved.unwrap(),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn its_pairable_host_accepts_our_pair_setup_with_its_pin() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let info = PairableHostInfo::generate("Their Mac", "Mac17,7");
    let (irk, mut file) = (info.alt_irk, RpPairingFile::generate("their-host"));
    let their_key = file.public_key_bytes();
    let pin = Arc::new(Mutex::new(None));
    let shown = Arc::clone(&pin);
    let mut accessory = PairableHost::new(RpPairingSocket::new_device(theirs), info);
    let mut config = host_config(None);
    (config.attempt_verify, config.ask_unlock_key) = (false, false);
    // It expects a device on the other side.
    config.description.udid = Some(UDID.to_owned());
    let our_irk = *config.identity.alt_irk().expose();
    let accept = accessory.accept(&mut file, |pin| async move { *shown.lock().unwrap() = Some(pin) });
    let both = async { tokio::join!(pair(ours, config, pin), accept) };
    let (record, accepted) = tokio::time::timeout(LIMIT, both).await.unwrap();

    let accepted = accepted.unwrap();
    assert_eq!((accepted.name.as_str(), accepted.remotepairing_udid.as_str()), ("vm", UDID));
    assert_eq!(accepted.alt_irk, our_irk);
    let peer = record.peer.unwrap();
    assert_eq!(peer.identifier, file.identifier());
    assert_eq!(peer.public_key.as_bytes().as_slice(), their_key);
    assert_eq!(record.info.alt_irk.unwrap().expose(), &irk);
    assert_eq!(record.info.name.as_deref(), Some("Their Mac"));
}

#[tokio::test]
async fn its_host_pairs_with_our_device_and_then_verifies_from_its_file() {
    let mut file = RpPairingFile::generate("their-host");
    let (config, first) = session(device_config(PairPolicy::Accept), &mut file).await;
    assert_eq!(first, Some(UDID.to_owned()));
    assert_eq!(config.known_hosts.len(), 1);
    let reject = PairPolicy::Reject { description: "no second setup".into() };
    let (_, second) = session(DeviceConfig { policy: reject, ..config }, &mut file).await;
    assert_eq!(second, None);
}

#[tokio::test]
async fn its_host_types_the_pin_of_our_device() {
    let mut file = RpPairingFile::generate("their-host");
    let policy = PairPolicy::Pin(Zeroizing::new("271828".into()));
    let (config, paired) = session(device_config(policy), &mut file).await;
    assert_eq!(paired, Some(UDID.to_owned()));
    assert_eq!(config.known_hosts.len(), 1);
}

/// One connection of its host: pairs or verifies, then asks for a listener. The UDID is there after a pair-setup.
async fn session(config: DeviceConfig, file: &mut RpPairingFile) -> (DeviceConfig, Option<String>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let host = async {
        let mut client = RemotePairingClient::new(RpPairingSocket::new(theirs), "their-host");
        client.connect(file, || async { "271828".to_owned() }).await.unwrap();
        assert_eq!(client.create_tcp_listener().await.unwrap(), 50123);
        client.paired_peer_device().ok().map(|device| device.remotepairing_udid.clone())
    };
    tokio::time::timeout(LIMIT, async { tokio::join!(serve(ours, config), host) }).await.unwrap()
}

#[test]
fn both_compute_the_same_auth_tag() {
    for seed in 0..20u8 {
        let irk = [seed; 16];
        let identifier = format!("2BE6E510-0325-4365-923E-B14C6F57DB{seed:02X}");
        assert_eq!(auth_tag(&irk, &identifier), compute_auth_tag(&irk, &identifier));
    }
}
