//! The idevice crate as the host: its RemoteXPC, pairing, TLS (PSK-AES256-CBC-SHA384) and TCP, none of them ours.

use std::net::SocketAddrV6;

use idevice::RemoteXpcClient;
use idevice::remote_pairing::{RemotePairingClient, RpPairingFile, connect_tls_psk_tunnel_native};
use idevice::rsd::RsdHandshake;
use idevice::tcp::adapter::Adapter;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::process::DEADLINE;
use crate::stage::Stage;
use crate::{phone, trusted_services, udid};

const SERVICE: &str = "com.apple.internal.dt.coredevice.untrusted.tunnelservice";

/// The control channel: the service's greeting is the first message.
async fn control(rsd: SocketAddrV6) -> RemotePairingClient<RemoteXpcClient<TcpStream>> {
    let handshake = RsdHandshake::new(TcpStream::connect(rsd).await.unwrap()).await.unwrap();
    let port = handshake.services[SERVICE].port;
    let address = SocketAddrV6::new(*rsd.ip(), port, 0, rsd.scope_id());
    let mut client = RemoteXpcClient::new(TcpStream::connect(address).await.unwrap()).await.unwrap();
    client.do_handshake().await.unwrap();
    let greeting = client.recv_root().await.unwrap();
    assert_eq!(greeting.as_dictionary().unwrap()["ServiceVersion"].as_unsigned_integer(), Some(2));
    RemotePairingClient::new(client, "idevice-peer")
}

/// The Handshake inside of a tunnel whose listener is asked for on `control`.
async fn inside(
    mut control: RemotePairingClient<RemoteXpcClient<TcpStream>>,
    rsd: SocketAddrV6,
) -> RsdHandshake {
    let port = control.create_tcp_listener().await.unwrap();
    let stream = TcpStream::connect(SocketAddrV6::new(*rsd.ip(), port, 0, rsd.scope_id())).await.unwrap();
    let tunnel = connect_tls_psk_tunnel_native(stream, control.encryption_key()).await.unwrap();
    let info = tunnel.info.clone();
    let (ours, theirs) = (info.client_address.parse().unwrap(), info.server_address.parse().unwrap());
    let mut adapter = Adapter::new(Box::new(tunnel.into_inner()), ours, theirs);
    adapter.set_mss(usize::from(info.mtu) - 60);
    let mut network = adapter.to_async_handle();
    let stream = network.connect(info.server_rsd_port).await.unwrap();
    RsdHandshake::new(stream).await.unwrap()
}

fn host(stage: &Stage) {
    let rsd = stage.socket(stage.rsd_port());
    let handshake = stage.host().block_on(move || async move {
        let conversation = async {
            let mut file = RpPairingFile::generate("idevice-peer");
            let pin = || async { "000000".to_owned() };
            control(rsd).await.connect(&mut file, pin).await.unwrap();
            // The tunnel's key is the secret of a pair-verify, so it takes another connection.
            let mut again = control(rsd).await;
            again.attempt_pair_verify().await.unwrap();
            again.validate_pairing(&mut file).await.unwrap();
            inside(again, rsd).await
        };
        timeout(DEADLINE, conversation).await.expect("a Handshake in time")
    });
    let mut names: Vec<String> = handshake.services.into_keys().collect();
    names.sort();
    assert_eq!(names, trusted_services());
    assert_eq!(handshake.properties["UniqueDeviceID"].as_string(), Some(udid().as_str()));
}

#[test]
fn it_pairs_verifies_and_reads_through_its_own_tunnel() {
    let state = tempfile::tempdir().unwrap();
    let stage = phone("accept", &state.path().join("phone"));
    host(&stage);
}
