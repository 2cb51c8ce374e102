//! What the lab does to its cables, seen from both ends.
#![cfg(feature = "net-tests")]

use std::net::SocketAddrV6;
use std::time::Duration;

use iosmux_lab::{BRIDGE, Lab, Place};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const PORT: u16 = 4000;
const PHONE: Place = Place::Phone(0);

/// Echoes in a phone until its namespace ends.
async fn echo(lab: &Lab, place: Place) {
    let serve = || async {
        let listener = TcpListener::bind(("::", PORT)).await.unwrap();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::task::spawn_local(async move {
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
    };
    lab.station(place).namespace.run(serve).await.unwrap();
}

/// Whether the VM gets an echo from a phone within `patience`. The kernel looks at carriers once a second at most: there
/// is no route before, and no answer to a neighbour's question.
async fn reaches_within(lab: &Lab, place: Place, patience: Duration) -> bool {
    let at = SocketAddrV6::new(lab.station(place).address(), PORT, 0, lab.vm.index);
    let ask = move || async move {
        let asked = async {
            while !echoes(at).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(patience, asked).await.is_ok()
    };
    lab.vm.namespace.run(ask).await.unwrap()
}

async fn echoes(at: SocketAddrV6) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(b"?").await?;
        stream.read_u8().await
    };
    matches!(timeout(Duration::from_secs(1), asked).await, Ok(Ok(b'?')))
}

async fn reaches(lab: &Lab, place: Place) -> bool {
    reaches_within(lab, place, Duration::from_secs(5)).await
}

async fn misses(lab: &Lab, place: Place) -> bool {
    !reaches_within(lab, place, Duration::from_millis(700)).await
}

async fn interfaces(lab: &Lab, place: Place) -> String {
    let read = || async { std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap() };
    lab.station(place).namespace.run(read).await.unwrap()
}

#[tokio::test]
async fn the_kernel_makes_the_address_that_the_lab_names() {
    let lab = Lab::build(1).await.unwrap();
    let link = lab.bring_up().await.unwrap();
    assert_eq!(link.vm, lab.vm.address());
    assert!(link.detection >= Duration::from_millis(900), "{:?}", link.detection);
    echo(&lab, PHONE).await;
    assert!(reaches(&lab, PHONE).await);
}

#[tokio::test]
async fn a_replugged_phone_has_a_new_address_and_a_new_index() {
    let mut lab = Lab::build(2).await.unwrap();
    lab.bring_up_at_once().await.unwrap();
    for place in [PHONE, Place::Phone(1)] {
        echo(&lab, place).await;
        assert!(reaches(&lab, place).await);
    }
    for _ in 0..3 {
        let before = (lab.phones[0].address(), lab.phones[0].index);
        lab.unplug(PHONE).await.unwrap();
        assert!(!interfaces(&lab, PHONE).await.contains("ncm0"));
        assert!(misses(&lab, PHONE).await);
        assert!(reaches(&lab, Place::Phone(1)).await, "the other one keeps its cable");
        lab.plug(PHONE).await.unwrap();
        lab.phones[0].bring_up_at_once().await.unwrap();
        assert_ne!(lab.phones[0].address(), before.0);
        assert_ne!(lab.phones[0].index, before.1);
        assert!(reaches(&lab, PHONE).await);
    }
}

#[tokio::test]
async fn a_vm_gets_its_network_card_back() {
    let mut lab = Lab::build(1).await.unwrap();
    lab.bring_up_at_once().await.unwrap();
    echo(&lab, PHONE).await;
    let (address, index) = (lab.vm.address(), lab.vm.index);
    lab.unplug(Place::Vm).await.unwrap();
    assert!(!interfaces(&lab, Place::Vm).await.contains("eth0"));
    lab.plug(Place::Vm).await.unwrap();
    lab.vm.bring_up_at_once().await.unwrap();
    assert_eq!(lab.vm.address(), address);
    assert_ne!(lab.vm.index, index);
    assert!(reaches(&lab, PHONE).await);
}

/// The connection is not told, and lives on when frames pass again.
#[tokio::test]
async fn a_port_that_is_down_keeps_silent() {
    let lab = Lab::build(1).await.unwrap();
    lab.bring_up_at_once().await.unwrap();
    echo(&lab, PHONE).await;
    let at = SocketAddrV6::new(lab.phones[0].address(), PORT, 0, lab.vm.index);
    let connect = move || async move { TcpStream::connect(at).await.unwrap() };
    let mut stream = lab.vm.namespace.run(connect).await.unwrap();
    lab.port_down(PHONE).await.unwrap();
    assert!(misses(&lab, PHONE).await);
    lab.port_up(PHONE).await.unwrap();
    assert!(reaches(&lab, PHONE).await);
    let again = move || async move {
        stream.write_all(b"!").await.unwrap();
        stream.read_u8().await.unwrap()
    };
    assert_eq!(lab.vm.namespace.run(again).await.unwrap(), b'!');
}

#[tokio::test]
async fn the_bridge_can_go_and_come_back() {
    let mut lab = Lab::build(2).await.unwrap();
    lab.bring_up_at_once().await.unwrap();
    echo(&lab, PHONE).await;
    lab.remove_bridge().await.unwrap();
    assert!(misses(&lab, PHONE).await);
    assert!(interfaces(&lab, Place::Vm).await.contains("eth0"));
    // A phone may be plugged in meanwhile, or be away.
    lab.unplug(PHONE).await.unwrap();
    lab.plug(PHONE).await.unwrap();
    lab.phones[0].bring_up_at_once().await.unwrap();
    lab.unplug(Place::Phone(1)).await.unwrap();
    lab.restore_bridge().await.unwrap();
    let bridge = || async { nix::net::if_::if_nametoindex(BRIDGE).is_ok() };
    assert!(lab.host.run(bridge).await.unwrap());
    assert!(reaches(&lab, PHONE).await);
}

#[tokio::test]
async fn a_job_that_panics_is_an_error_and_the_namespace_serves_on() {
    let lab = Lab::build(0).await.unwrap();
    let panics = || async { assert_eq!(1, 2, "this panic is part of the test") };
    let error = lab.host.run(panics).await.unwrap_err();
    assert_eq!(error.to_string(), "the namespace host ended before its job");
    assert_eq!(lab.host.run(|| async { 3 }).await.unwrap(), 3);
}
