//! A host of ours: finds the tunnel service, pairs, opens tunnels.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use iosmux_pairing::control::host::{HostConfig, WishedTransport};
use iosmux_pairing::envelope::{ControlMessage, Envelope, Origin};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::io::host::{Front, Host, HostError, Start, Welcome};
use iosmux_pairing::io::random;
use iosmux_pairing::io::wire::{RemoteXpc, RpPairing, Wire};
use iosmux_pairing::listener::ListenerAnswer;
use iosmux_pairing::message::{Body, Event, PairingData, PairingKind};
use iosmux_pairing::record::PairRecord;
use iosmux_pairing::store::{Store, StoreError};
use iosmux_pairing::tlv8::{Tlv8, tag};
use iosmux_tunnel::io::{Options, QuicIdentity, TunDevice, Tunnel, TunnelLink, connect_quic, connect_tcp};
use iosmux_tunnel::parameters::Role;
use iosmux_tunnel::{QUIC_MTU, TCP_MTU};
use iosmux_xpc::rsd::{self, Handshake};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Link, SOON, impatient};

pub const TUNNEL_SERVICE: &str = iosmux_pairing::envelope::remotexpc::SERVICE;

/// A computer with its pair records.
pub struct Computer {
    pub store: Store,
    pub name: String,
    pub pin: Option<String>,
    /// How often people were told to tap Trust.
    pub consents: usize,
}

impl Computer {
    pub fn new(directory: &Path) -> Computer {
        let store = Store::open(directory.join("records")).expect("a store");
        Computer { store, name: "vm".to_owned(), pin: None, consents: 0 }
    }

    pub fn record(&self, udid: &str) -> Option<PairRecord> {
        self.store.load(udid).expect("a readable store")
    }

    pub fn config(&self, udid: &str) -> HostConfig {
        let identity = self.store.host_identity(&self.name, &mut random()).expect("an identity");
        HostConfig::new(self.name.clone(), identity, self.record(udid))
    }

    /// The tunnel service of the phone on the link.
    pub async fn tunnel_service(&self, link: &Link) -> RemoteXpc {
        let remote = link.fixed(Uuid::from_u128(1)).await;
        let port = remote.handshake.services.get(TUNNEL_SERVICE).expect("the tunnel service").port;
        let stream = link.connect(port).await.expect("it listens");
        timeout(SOON, RemoteXpc::connect(stream, impatient())).await.expect("soon").expect("an opening")
    }

    /// Verifies or pairs over the tunnel service.
    pub async fn pair(&mut self, link: &Link, udid: &str) -> Result<Start<RemoteXpc>, HostError> {
        let wire = self.tunnel_service(link).await;
        self.start(wire, udid).await
    }

    pub async fn start<W: Wire>(&mut self, wire: W, udid: &str) -> Result<Start<W>, HostError> {
        let config = self.config(udid);
        timeout(4 * SOON, Host::start(wire, config, self)).await.expect("an end soon")
    }

    /// A ready channel.
    pub async fn paired(&mut self, link: &Link, udid: &str) -> (Host<RemoteXpc>, Box<Welcome>) {
        match self.pair(link, udid).await.expect("paired or verified") {
            Start::Ready(host, welcome) => (host, welcome),
            Start::Reconnect(_) => panic!("the phone closed"),
        }
    }

    /// What ends the attempt.
    pub async fn refused(&mut self, link: &Link, udid: &str) -> ControlError {
        match self.pair(link, udid).await {
            Err(HostError::Control(error)) => error,
            other => panic!("a refusal was expected: {other:?}"),
        }
    }
}

impl Front for Computer {
    fn save(&mut self, record: &PairRecord) -> Result<(), StoreError> {
        self.store.save(record)
    }

    fn awaiting_consent(&mut self) {
        self.consents += 1;
    }

    async fn pin(&mut self) -> Option<Zeroizing<String>> {
        self.pin.clone().map(Zeroizing::new)
    }
}

pub async fn listener<W: Wire>(
    host: &mut Host<W>,
    transport: WishedTransport,
) -> Result<(ListenerAnswer, Option<Zeroizing<Vec<u8>>>), HostError> {
    let (answer, psk) = timeout(SOON, host.listener(transport)).await.expect("an answer soon")?;
    assert!(answer.device_public_key.is_some(), "frida insists on it");
    Ok((answer, psk.map(|psk| Zeroizing::new(psk.expose().to_vec()))))
}

/// The host's end of a running tunnel.
pub struct Open {
    pub tunnel: Tunnel,
    pub interface: String,
    pub suite: Option<&'static str>,
}

pub async fn tcp<W: Wire>(link: &Link, host: &mut Host<W>) -> Open {
    let (answer, psk) = listener(host, WishedTransport::Tcp).await.expect("a listener");
    let stream = link.connect(answer.port).await.expect("it listens");
    let psk = psk.expect("a key");
    let tunnel = timeout(SOON, connect_tcp(stream, &psk, TCP_MTU)).await.expect("soon").expect("a tunnel");
    run(tunnel)
}

pub async fn quic<W: Wire>(link: &Link, host: &mut Host<W>) -> Open {
    let identity = QuicIdentity::generate().expect("a key");
    let wish = WishedTransport::Quic { public_key: identity.public_key().to_vec() };
    let (answer, _) = listener(host, wish).await.expect("a listener");
    let address = SocketAddr::V6(link.at(1, answer.port));
    let key = answer.device_public_key.as_deref();
    let tunnel = timeout(SOON, connect_quic(address, &identity, key, QUIC_MTU)).await;
    run(tunnel.expect("soon").expect("a tunnel"))
}

fn run(link: TunnelLink) -> Open {
    let suite = link.suite().map(|suite| suite.name());
    let device = TunDevice::open(Some("tun%d"), link.parameters(), Role::Host).expect("an interface");
    let interface = device.name().to_owned();
    let tunnel = Tunnel::run(link, device, Options::default()).expect("a tunnel");
    Open { tunnel, interface, suite }
}

impl Open {
    /// The phone's RSD port, inside.
    pub fn rsd(&self) -> SocketAddr {
        let parameters = self.tunnel.parameters();
        SocketAddr::from((parameters.server_address, parameters.server_rsd_port))
    }

    pub async fn connect(&self, port: u16) -> std::io::Result<TcpStream> {
        let address = SocketAddr::from((self.tunnel.parameters().server_address, port));
        timeout(SOON, TcpStream::connect(address)).await.expect("connected or refused soon")
    }

    /// The Handshake inside.
    pub async fn handshake(&self) -> Handshake {
        let stream = self.connect(self.rsd().port()).await.expect("RSD listens inside");
        let ours = Handshake::host(Uuid::from_u128(1));
        let remote = timeout(SOON, rsd::io::handshake(stream, Some(&ours), impatient())).await;
        remote.expect("soon").expect("a Handshake").handshake
    }
}

/// RemotePairing on a network.
pub async fn network(link: &Link, port: u16) -> RpPairing<TcpStream> {
    RpPairing::new(link.connect(port).await.expect("it listens"))
}

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let waited = timeout(SOON, async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} does not come true"));
}

/// The first message of a pair-setup, without anything before it.
pub fn m1(host: &str) -> Envelope {
    let data = PairingData {
        data: Tlv8::new().with(tag::METHOD, [0]).with_state(1).encode(),
        kind: PairingKind::Setup,
        start_new_session: true,
        sending_host: Some(host.to_owned()),
    };
    let message = ControlMessage::Plain(Body::Event(Event::PairingData(data)));
    Envelope { origin: Origin::Host, sequence_number: 0, message }
}
