//! Recording the mDNS datagrams of the VM's link.
//!
//! The lab's namespaces are ours, so that a packet socket may listen in: it sees what the browser asks, what is answered
//! to it alone, and what phones announce to all.
#![allow(unsafe_code, reason = "tokio has no safe way to wait for a packet socket")]

use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use anyhow::{Context, Result};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use iosmux_capture::Recorder;
use iosmux_capture::pcapng::Direction;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// All protocols: only such a packet socket sees what is sent, too. Source: packet(7), linux/if_ether.h.
const ETH_P_ALL: u16 = 3;
const LONGEST_PACKET: usize = 65_575;

/// The VM's end of the link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) address: Ipv6Addr,
    pub(super) index: u32,
}

/// Records datagrams of the calling thread's namespace, as a task that ends with its runtime.
pub(super) fn start(recorder: Recorder, link: Link) -> Result<()> {
    let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).context("open a packet socket")?;
    socket.set_nonblocking(true)?;
    // SAFETY: a Socket owns its descriptor and gives the same one until it is dropped, which AsyncFd does.
    let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0; LONGEST_PACKET];
        loop {
            match socket.async_io(Interest::READABLE, |mut socket| socket.read(&mut buffer)).await {
                Ok(length) => record(&recorder, link, buffer.get(..length).unwrap_or_default()),
                Err(error) => {
                    tracing::warn!(%error, "mDNS is not recorded any more");
                    return;
                }
            }
        }
    });
    Ok(())
}

fn record(recorder: &Recorder, link: Link, packet: &[u8]) {
    let Some((source, destination, payload)) = datagram(packet) else { return };
    if source.port() != iosmux_mdns::PORT && destination.port() != iosmux_mdns::PORT {
        return;
    }
    let scoped = |end: SocketAddrV6| SocketAddr::V6(SocketAddrV6::new(*end.ip(), end.port(), 0, link.index));
    let (direction, local, peer) = if *source.ip() == link.address {
        (Direction::Outbound, source, destination)
    } else {
        (Direction::Inbound, destination, source)
    };
    recorder.datagram(direction, scoped(local), scoped(peer), payload);
}

/// The ends and the payload of a UDP datagram in IPv6.
fn datagram(packet: &[u8]) -> Option<(SocketAddrV6, SocketAddrV6, &[u8])> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let Some(NetSlice::Ipv6(ip)) = sliced.net else { return None };
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { return None };
    let end = |address, port| SocketAddrV6::new(address, port, 0, 0);
    Some((
        end(ip.header().source_addr(), udp.source_port()),
        end(ip.header().destination_addr(), udp.destination_port()),
        udp.payload(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_capture::flow;

    #[test]
    fn only_udp_in_ipv6_is_a_datagram() {
        let (local, peer) = ("[fe80::1]:5353".parse().unwrap(), "[ff02::fb]:5353".parse().unwrap());
        let packet = flow::datagram(local, peer, b"question").unwrap();
        let (source, destination, payload) = datagram(&packet).unwrap();
        assert_eq!((SocketAddr::V6(source), SocketAddr::V6(destination)), (local, peer));
        assert_eq!(payload, b"question");
        let syn = &flow::Flow::new(local, peer).open(flow::Opener::Local)[0];
        assert!(datagram(&syn.bytes).is_none());
        assert!(datagram(b"\x45rubbish").is_none());
    }
}
