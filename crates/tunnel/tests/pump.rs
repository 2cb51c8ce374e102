//! The pump over channels and streams: what passes, what is dropped and counted, and how it ends.

mod support;

use iosmux_tunnel::cdtunnel::Message;
use iosmux_tunnel::io::{ChannelEnd, Ended, Options, Tunnel, TunnelError, channel, connect_stream};
use iosmux_tunnel::packet::Drop;
use iosmux_tunnel::{MIN_MTU, Parameters};
use std::io;
use std::net::Ipv6Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use support::{offer, packet, settled, to_device, to_host};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};

/// A stream that notes the length of each write.
struct Noting {
    stream: DuplexStream,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Noting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.writes.lock().unwrap().push(count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A host's running tunnel, and the phone's side of its stream.
struct Rig {
    tunnel: Tunnel,
    end: ChannelEnd,
    phone: DuplexStream,
    writes: Arc<Mutex<Vec<usize>>>,
    parameters: Parameters,
}

/// Opens a host's tunnel over a stream with `room` bytes on their way.
async fn rig(options: Options, room: usize) -> Rig {
    let (stream, mut phone) = duplex(room);
    let writes = Arc::new(Mutex::new(Vec::new()));
    let noting = Noting { stream, writes: Arc::clone(&writes) };
    let answer = async {
        let mut bytes = [0; 10];
        phone.read_exact(&mut bytes).await.unwrap();
        let mut request = bytes.to_vec();
        request.resize(10 + usize::from(u16::from_be_bytes([bytes[8], bytes[9]])), 0);
        phone.read_exact(&mut request[10..]).await.unwrap();
        let Message::ClientHandshakeRequest(request) = Message::decode(&request).unwrap().unwrap().0 else {
            panic!("no request")
        };
        let (_, response) = Parameters::grant(&request, &offer(1280)).unwrap();
        phone.write_all(&Message::ServerHandshakeResponse(response).encode().unwrap()).await.unwrap();
    };
    let (link, ()) = tokio::join!(connect_stream(noting, 16_000), answer);
    let (device, end) = channel(1000);
    let link = link.unwrap();
    let parameters = *link.parameters();
    writes.lock().unwrap().clear();
    let tunnel = Tunnel::run(link, device, options).unwrap();
    Rig { tunnel, end, phone, writes, parameters }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_packet_is_one_write() {
    let mut rig = rig(Options::default(), 1 << 20).await;
    for (at, length) in [40, 1280, 41, 1279, 600].into_iter().cycle().take(500).enumerate() {
        assert!(rig.end.send(to_device(&rig.parameters, length, at as u8)).await);
    }
    for (at, length) in [40, 1280, 41, 1279, 600].into_iter().cycle().take(500).enumerate() {
        let mut got = vec![0; length];
        rig.phone.read_exact(&mut got).await.unwrap();
        assert_eq!(got, to_device(&rig.parameters, length, at as u8));
    }
    let expected: Vec<usize> = [40, 1280, 41, 1279, 600].into_iter().cycle().take(500).collect();
    assert_eq!(*rig.writes.lock().unwrap(), expected);
    assert_eq!(rig.tunnel.stop().await.unwrap(), Ended::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_may_join_packets_or_tear_them() {
    let mut rig = rig(Options::default(), 1 << 20).await;
    let packets: Vec<_> =
        (0..=255).map(|seed| to_host(&rig.parameters, 40 + usize::from(seed) * 4, seed)).collect();
    let stream = packets.concat();
    let (joined, torn) = stream.split_at(stream.len() / 2);
    rig.phone.write_all(joined).await.unwrap();
    for piece in torn.chunks(7) {
        rig.phone.write_all(piece).await.unwrap();
    }
    for packet in packets {
        assert_eq!(rig.end.recv().await.unwrap(), packet);
    }
    assert_eq!(rig.tunnel.counters().inbound.dropped_total(), 0);
}

/// Packets that must not pass from `source` to `destination`, and what they are counted as.
fn bad_packets(source: Ipv6Addr, destination: Ipv6Addr) -> Vec<(Vec<u8>, Drop)> {
    let stranger: Ipv6Addr = "fd58:8c92:8961::3".parse().unwrap();
    let mut version = packet(source, destination, 100, 0);
    version[0] = 0x45;
    vec![
        (packet(stranger, destination, 100, 0), Drop::Source),
        (packet(destination, source, 100, 0), Drop::Source),
        (packet("fe80::1".parse().unwrap(), destination, 100, 0), Drop::Source),
        (packet(source, stranger, 100, 0), Drop::Destination),
        (packet(source, "ff02::1".parse().unwrap(), 100, 0), Drop::Destination),
        (packet(source, "::1".parse().unwrap(), 100, 0), Drop::Destination),
        (version, Drop::Version),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_phone_must_not_send_is_dropped_and_counted() {
    let mut rig = rig(Options::default(), 1 << 20).await;
    let (server, client) = (rig.parameters.server_address, rig.parameters.client_address);
    let mut bad = bad_packets(server, client);
    // On a stream the length is the header's: a packet can be too long, but not of a wrong length.
    bad.push((to_host(&rig.parameters, 1281, 0), Drop::TooLong));
    bad.push((to_host(&rig.parameters, 65_575, 0), Drop::TooLong));
    for (bytes, _) in &bad {
        rig.phone.write_all(bytes).await.unwrap();
        rig.phone.write_all(&to_host(&rig.parameters, 50, 7)).await.unwrap();
        assert_eq!(rig.end.recv().await.unwrap(), to_host(&rig.parameters, 50, 7));
    }
    settled(&rig.tunnel, |seen| seen.inbound.dropped_total() == 9).await;
    let inbound = rig.tunnel.counters().inbound;
    for reason in Drop::ALL {
        let expected = bad.iter().filter(|(_, counted)| *counted == reason).count() as u64;
        assert_eq!(inbound.dropped(reason), expected, "{reason}");
    }
    assert_eq!((inbound.packets, inbound.bytes), (9, 450));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_host_must_not_send_is_dropped_and_counted() {
    let mut rig = rig(Options::default(), 1 << 20).await;
    let (server, client) = (rig.parameters.server_address, rig.parameters.client_address);
    let mut bad = bad_packets(client, server);
    let mut longer = to_device(&rig.parameters, 100, 0);
    longer.push(0);
    bad.push((longer, Drop::Length));
    bad.push((to_device(&rig.parameters, 100, 0)[..99].to_vec(), Drop::Length));
    bad.push((to_device(&rig.parameters, 40, 0)[..39].to_vec(), Drop::Short));
    bad.push((to_device(&rig.parameters, 1281, 0), Drop::TooLong));
    for (bytes, _) in &bad {
        assert!(rig.end.send(bytes.clone()).await);
    }
    let good = to_device(&rig.parameters, 60, 9);
    assert!(rig.end.send(good.clone()).await);
    let mut got = vec![0; 60];
    rig.phone.read_exact(&mut got).await.unwrap();
    assert_eq!(got, good, "only the good one may reach the phone");
    settled(&rig.tunnel, |seen| seen.outbound.dropped_total() == 11).await;
    let outbound = rig.tunnel.counters().outbound;
    for reason in Drop::ALL {
        let expected = bad.iter().filter(|(_, counted)| *counted == reason).count() as u64;
        assert_eq!(outbound.dropped(reason), expected, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_packets_ends_the_tunnel() {
    let mut rig = rig(Options::default(), 1 << 20).await;
    rig.phone.write_all(&[0; 40 * 32]).await.unwrap();
    let error = rig.tunnel.ended().await.unwrap_err();
    assert!(matches!(error, TunnelError::OutOfStep(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_does_not_read_holds_the_sender_back() {
    let mut rig = rig(Options::default(), usize::from(MIN_MTU) * 4).await;
    let parameters = rig.parameters;
    let sent = async {
        let mut sent = 0_usize;
        // 1000 in the channel, one in the pump, four on their way: then the sender waits.
        while let Ok(true) =
            tokio::time::timeout(Duration::from_millis(500), rig.end.send(to_device(&parameters, 1280, 0)))
                .await
        {
            sent += 1;
        }
        sent
    };
    let sent = sent.await;
    assert!((1000..=1006).contains(&sent), "{sent}");
    assert!(rig.tunnel.counters().outbound.packets <= 6);
    let mut got = vec![0; sent * 1280];
    rig.phone.read_exact(&mut got).await.unwrap();
    settled(&rig.tunnel, |seen| seen.outbound.packets == sent as u64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_takes_nothing_loses_packets_and_not_the_tunnel() {
    let mut rig = rig(Options::default(), 1 << 20).await;
    for _ in 0..1500 {
        rig.phone.write_all(&to_host(&rig.parameters, 100, 0)).await.unwrap();
    }
    settled(&rig.tunnel, |seen| seen.inbound.packets == 1500 && seen.inbound.refused == 500).await;
    for _ in 0..1000 {
        assert!(rig.end.recv().await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_has_its_name() {
    let mut gone = rig(Options::default(), 1 << 20).await;
    drop(gone.phone);
    assert_eq!(gone.tunnel.ended().await.unwrap(), Ended::PeerClosed);
    assert_eq!(gone.end.recv().await, None, "the device is let go");

    let closed = rig(Options::default(), 1 << 20).await;
    let mut tunnel = closed.tunnel;
    drop(closed.end);
    assert_eq!(tunnel.ended().await.unwrap(), Ended::DeviceClosed);

    let mut dropped = rig(Options::default(), 1 << 20).await;
    drop(dropped.tunnel);
    assert_eq!(dropped.end.recv().await, None, "a dropped tunnel ends");
    assert_eq!(dropped.phone.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_ends_with_an_empty_packet_only_when_asked_for() {
    for end_of_burst in [false, true] {
        let mut rig = rig(Options { end_of_burst }, 1 << 20).await;
        // A small burst never has one.
        assert!(rig.end.send(to_device(&rig.parameters, 1280, 0)).await);
        let mut got = vec![0; 1280];
        rig.phone.read_exact(&mut got).await.unwrap();
        for _ in 0..100 {
            assert!(rig.end.send(to_device(&rig.parameters, 1280, 0)).await);
        }
        let mut got = vec![0; 128_000];
        // The burst may be seen in parts, so empty packets may be anywhere.
        let empty = to_device(&rig.parameters, 40, 0);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let writes = rig.writes.lock().unwrap().clone();
        let empties = writes.iter().filter(|length| **length == 40).count();
        assert_eq!(empties > 0, end_of_burst, "{writes:?}");
        if !end_of_burst {
            rig.phone.read_exact(&mut got).await.unwrap();
        } else {
            let all = writes.iter().sum::<usize>() - 1280;
            got.resize(all, 0);
            rig.phone.read_exact(&mut got).await.unwrap();
            assert!(got.windows(40).any(|window| window == empty));
        }
        let counters = rig.tunnel.counters().outbound;
        assert_eq!((counters.packets, counters.dropped_total()), (101, 0));
    }
}
