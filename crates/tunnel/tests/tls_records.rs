//! One TLS record per packet towards the phone, counted at the far end.
//!
//! A phone over USB fell to 1 MB/s when packets shared a write (protocol.md §5.10, platform.md).

mod support;

use iosmux_tunnel::io::{Options, Suite, Tunnel, accept_tcp, channel, connect_tcp_with};
use std::sync::{Arc, Mutex};
use support::{KEY, offer, tcp_pair, to_device, to_host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::TcpStream;

/// TLS records of application data. Source: RFC 5246 §6.2.1.
const APPLICATION_DATA: u8 = 23;

/// Passes the host's bytes on to the device and counts its records, and what each read of the socket held.
async fn count_records(mut host: TcpStream, mut device: TcpStream, records: Arc<Mutex<Vec<usize>>>) {
    let (mut from_device, mut to_device) = device.split();
    let (mut from_host, mut to_host) = host.split();
    let up = async {
        let mut header = [0; 5];
        while from_host.read_exact(&mut header).await.is_ok() {
            let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            from_host.read_exact(&mut body).await.unwrap();
            if header[0] == APPLICATION_DATA {
                records.lock().unwrap().push(body.len());
            }
            // Once the device has closed its end, the host's last alert has nowhere to go.
            if to_device.write_all(&[&header[..], &body].concat()).await.is_err() {
                break;
            }
        }
        to_device.shutdown().await.ok();
    };
    tokio::join!(up, async { copy(&mut from_device, &mut to_host).await.ok() });
}

async fn records_of(suite: Suite, lengths: &[usize]) -> Vec<usize> {
    let ((near, middle_near), (middle_far, far)) = (tcp_pair().await, tcp_pair().await);
    let records = Arc::new(Mutex::new(Vec::new()));
    let counter = tokio::spawn(count_records(middle_near, middle_far, Arc::clone(&records)));
    let (offer, suites) = (offer(16_000), [suite]);
    let (host, device) =
        tokio::join!(connect_tcp_with(near, &KEY, 16_000, &suites), accept_tcp(far, &KEY, &offer));
    let (host, device) = (host.unwrap(), device.unwrap());
    let parameters = *host.parameters();
    let ((host_device, host_end), (phone_device, mut phone_end)) = (channel(1000), channel(1000));
    // All packets are there before the pump starts: it could join them if it wanted to.
    for (seed, length) in (0..).zip(lengths) {
        assert!(host_end.send(to_device(&parameters, *length, seed)).await);
    }
    let before = records.lock().unwrap().len();
    let host = Tunnel::run(host, host_device, Options::default()).unwrap();
    let phone = Tunnel::run(device, phone_device, Options::default()).unwrap();
    for (seed, length) in (0..).zip(lengths) {
        assert_eq!(phone_end.recv().await.unwrap(), to_device(&parameters, *length, seed));
    }
    assert_eq!(host.counters().outbound.dropped_total(), 0);
    host.stop().await.unwrap();
    phone.stop().await.unwrap();
    counter.await.unwrap();
    let mut records = records.lock().unwrap().split_off(before);
    // The last one is the alert that closes, which has a type of its own and is not here.
    assert_eq!(records.len(), lengths.len());
    records.truncate(lengths.len());
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_packet_is_a_record_of_its_own() {
    let lengths: Vec<usize> = (0..200).map(|at| [40, 41, 60, 1280, 8000, 16_000][at % 6]).collect();
    let records = records_of(Suite::Aes256GcmSha384, &lengths).await;
    // An explicit nonce of 8 bytes and a tag of 16. Source: RFC 5288 §3.
    assert_eq!(records, lengths.iter().map(|length| length + 24).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suites_of_the_other_kind_do_not_split_packets_either() {
    for suite in [Suite::Aes256CbcSha384, Suite::Aes128CbcSha] {
        let lengths = [16_000, 40, 1280, 16_000];
        let records = records_of(suite, &lengths).await;
        for (record, length) in records.iter().zip(lengths) {
            assert!((length + 1..length + 100).contains(record), "{suite}: {records:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_of_the_phone_arrive_in_order() {
    let (host, device) = support::open_links().await;
    let parameters = *host.parameters();
    let ((host_device, mut host_end), (phone_device, phone_end)) = (channel(1000), channel(1000));
    let host = Tunnel::run(host, host_device, Options::default()).unwrap();
    let phone = Tunnel::run(device, phone_device, Options::default()).unwrap();
    for seed in 0..100 {
        assert!(phone_end.send(to_host(&parameters, 40 + usize::from(seed) * 100, seed)).await);
    }
    for seed in 0..100 {
        let expected = to_host(&parameters, 40 + usize::from(seed) * 100, seed);
        assert_eq!(host_end.recv().await.unwrap(), expected);
    }
    host.stop().await.unwrap();
    phone.stop().await.unwrap();
}
