//! CDTunnel over any stream, as lockdown's CoreDeviceProxy has it, and peers that do not keep to it.

mod support;

use iosmux_tunnel::cdtunnel::{ClientHandshakeRequest, Message};
use iosmux_tunnel::io::{TunnelError, accept_stream, connect_stream};
use iosmux_tunnel::{MAX_MTU, Parameters};
use support::offer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

/// What the host makes of a device that sends `bytes` and closes, in pieces of `piece` bytes.
async fn host_reads(bytes: &[u8], piece: usize) -> Result<Parameters, TunnelError> {
    let (near, mut far) = duplex(1 << 17);
    for piece in bytes.chunks(piece) {
        far.write_all(piece).await.unwrap();
    }
    far.shutdown().await.unwrap();
    connect_stream(near, 16_000).await.map(|link| *link.parameters())
}

fn response() -> Vec<u8> {
    let (_, response) = Parameters::grant(&ClientHandshakeRequest { mtu: 16_000 }, &offer(16_000)).unwrap();
    Message::ServerHandshakeResponse(response).encode().unwrap()
}

fn framed(json: &str) -> Vec<u8> {
    [b"CDTunnel".as_slice(), &u16::try_from(json.len()).unwrap().to_be_bytes(), json.as_bytes()].concat()
}

#[tokio::test]
async fn both_ends_agree() {
    let (near, far) = duplex(1 << 16);
    let offer = offer(4000);
    let (host, device) = tokio::join!(connect_stream(near, MAX_MTU), accept_stream(far, &offer));
    let (host, device) = (host.unwrap(), device.unwrap());
    assert_eq!(host.parameters(), device.parameters());
    assert_eq!((host.parameters().mtu, host.suite()), (4000, None));
}

#[tokio::test]
async fn an_answer_may_be_torn_and_long() {
    for piece in [1, 3, 9, 10, 11, 1000] {
        assert_eq!(host_reads(&response(), piece).await.unwrap().server_rsd_port, 56307, "{piece}");
    }
    let json = String::from_utf8(response()[10..].to_vec()).unwrap();
    let long = framed(&json.replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(60_000)), 1));
    assert_eq!(host_reads(&long, 1000).await.unwrap().server_rsd_port, 56307);
}

#[tokio::test]
async fn each_bad_answer_has_its_error() {
    let mut texts = Vec::new();
    let json = String::from_utf8(response()[10..].to_vec()).unwrap();
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("half an answer", response()[..100].to_vec()),
        ("another protocol", b"RPPairing\x00\x02{}".to_vec()),
        ("an empty message", framed("")),
        ("no type", framed("{}")),
        ("an unknown type", framed(r#"{"type":"additionalConnectionResponse"}"#)),
        ("our own request", framed(r#"{"type":"clientHandshakeRequest","mtu":16000}"#)),
        ("a bad address", framed(&json.replace("::2", "::2::"))),
        ("a default route", framed(&json.replace("ffff:ffff:ffff:ffff::", "::"))),
        ("an MTU too small", framed(&json.replace("16000", "500"))),
    ] {
        let error = host_reads(&bytes, 1000).await.unwrap_err();
        texts.push(format!("{name}: {error}"));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn a_device_refuses_what_it_cannot_grant() {
    for json in
        [r#"{"type":"clientHandshakeRequest","mtu":1202}"#, r#"{"type":"clientHandshakeRequest"}"#, "[]"]
    {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(&framed(json)).await.unwrap();
        assert!(accept_stream(far, &offer(16_000)).await.is_err(), "{json}");
        assert_eq!(near.read(&mut [0; 10]).await.unwrap(), 0, "nothing is answered, the stream is closed");
    }
}
