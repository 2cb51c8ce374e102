//! TLS 1.2 with a pre-shared key: each suite, and each way in which it can fail.

mod support;

use iosmux_tunnel::io::{Suite, TlsError, TunnelError, accept_tcp, connect_tcp};
use iosmux_tunnel::psk::PskError;
use support::{KEY, offer, tcp_links, tcp_pair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn each_suite_is_negotiated() {
    for suite in Suite::DEVICE {
        let (host, device) = tcp_links((&KEY, &[suite]), (&KEY, &Suite::DEVICE)).await;
        let (host, device) = (host.unwrap(), device.unwrap());
        assert_eq!((host.suite(), device.suite()), (Some(suite), Some(suite)));
        assert_eq!(host.parameters(), device.parameters());
        assert_eq!(host.parameters().mtu, 16_000);
    }
}

#[tokio::test]
async fn the_preferred_suite_wins() {
    let (host, _device) = tcp_links((&KEY, &Suite::HOST), (&KEY, &Suite::DEVICE)).await;
    assert_eq!(host.unwrap().suite().unwrap().id(), 0x00a9);
    // What idevice says phones prefer.
    let phone = [Suite::Aes256CbcSha384, Suite::Aes256GcmSha384];
    let (host, _device) = tcp_links((&KEY, &Suite::HOST), (&KEY, &phone)).await;
    assert_eq!(host.unwrap().suite().unwrap().id(), 0x00af);
}

#[tokio::test]
async fn any_key_of_32_bytes_will_do() {
    let mut key = [0; 32];
    for edit in [(31, 1), (0, 0xff), (7, 0)] {
        key[edit.0] = edit.1;
        let (host, device) = tcp_links((&key, &Suite::HOST), (&key, &Suite::DEVICE)).await;
        assert!(host.is_ok() && device.is_ok(), "{key:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_named_at_both_ends() {
    for suite in Suite::DEVICE {
        let (host, device) = tcp_links((&[1; 32], &[suite]), (&KEY, &[suite])).await;
        for (end, error) in [("host", host.unwrap_err()), ("device", device.unwrap_err())] {
            assert!(
                matches!(error, TunnelError::Tls(TlsError::WrongKey { .. })),
                "{suite} at the {end}: {error}"
            );
            assert!(error.to_string().contains("pair-verify"), "{error}");
        }
    }
}

#[tokio::test]
async fn no_common_suite_is_named_at_both_ends() {
    let (host, device) = tcp_links((&KEY, &[Suite::Aes256GcmSha384]), (&KEY, &[Suite::Aes128CbcSha])).await;
    for error in [host.unwrap_err(), device.unwrap_err()] {
        assert!(matches!(error, TunnelError::Tls(TlsError::NoCommonSuite { .. })), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_can_be_none_never_reaches_the_wire() {
    for (key, expected) in [(vec![1; 31], PskError::Length(31)), (vec![0; 32], PskError::Zero)] {
        let (near, mut far) = tcp_pair().await;
        let error = connect_tcp(near, &key, 16_000).await.unwrap_err();
        assert!(matches!(error, TunnelError::Psk(got) if got == expected), "{error}");
        assert_eq!(far.read(&mut [0; 10]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_peer_that_is_no_tunnel_is_named() {
    for text in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "CDTunnel\0\x02{}"] {
        let (near, mut far) = tcp_pair().await;
        far.write_all(text.as_bytes()).await.unwrap();
        let error = connect_tcp(near, &KEY, 16_000).await.unwrap_err();
        assert!(matches!(error, TunnelError::Tls(TlsError::NotTls { .. })), "{text}: {error}");
        let (mut near, far) = tcp_pair().await;
        near.write_all(text.as_bytes()).await.unwrap();
        let error = accept_tcp(far, &KEY, &offer(16_000)).await.unwrap_err();
        assert!(matches!(error, TunnelError::Tls(TlsError::NotTls { .. })), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_named() {
    let (near, far) = tcp_pair().await;
    drop(far);
    let error = connect_tcp(near, &KEY, 16_000).await.unwrap_err();
    assert!(matches!(error, TunnelError::Tls(TlsError::Closed)), "{error}");
    let (mut near, far) = tcp_pair().await;
    near.write_all(&[0x16, 3, 1, 0, 100]).await.unwrap();
    drop(near);
    let error = accept_tcp(far, &KEY, &offer(16_000)).await.unwrap_err();
    assert!(matches!(error, TunnelError::Tls(TlsError::Closed)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let (near, _far) = tcp_pair().await;
    let error = connect_tcp(near, &KEY, 16_000).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "opening the tunnel took longer than 20 s; check that the phone is awake, unlocked and still attached"
    );
}

#[tokio::test]
async fn an_mtu_that_cannot_be_is_refused_before_it_is_sent() {
    for mtu in [0, 1279, 16_385, u16::MAX] {
        let (near, far) = tcp_pair().await;
        let offer = offer(16_000);
        let (host, device) = tokio::join!(connect_tcp(near, &KEY, mtu), accept_tcp(far, &KEY, &offer));
        assert!(matches!(host.unwrap_err(), TunnelError::Parameters(_)));
        assert!(matches!(device.unwrap_err(), TunnelError::Closed { .. }));
    }
}
