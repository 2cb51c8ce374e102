//! The pump of QUIC: one packet per datagram, both ways.
//!
//! A packet for which the connection has no room waits alone; while it does none is taken from the device.

use super::device::{Delivery, PacketDevice};
use super::error::{QuicError, TunnelError};
use super::quic::QuicLink;
use super::tunnel::{Ended, Shared};
use crate::packet::{Counters, PacketFilter};
use crate::parameters::{Parameters, Role};
use bytes::Bytes;
use quinn::{Connection, ConnectionError, SendDatagramError, VarInt};
use std::future::poll_fn;
use tokio::sync::oneshot;

/// The code with which a stopped tunnel is closed.
const STOPPED: VarInt = VarInt::from_u32(0);

/// Both directions of one tunnel.
struct QuicPump<D> {
    connection: Connection,
    device: D,
    outbound: PacketFilter,
    inbound: PacketFilter,
    out: Counters,
    back: Counters,
    space: Box<[u8]>,
    waiting: Option<Bytes>,
}

/// Moves packets until somebody ends the tunnel.
pub(crate) async fn run<D: PacketDevice>(
    link: QuicLink,
    device: D,
    parameters: &Parameters,
    role: Role,
    shared: &Shared,
    stopped: oneshot::Receiver<()>,
) -> Result<Ended, TunnelError> {
    let (outbound, inbound) = (parameters.outbound_filter(role), parameters.inbound_filter(role));
    // One byte more than the MTU, so that a packet too long is seen to be too long.
    let space = vec![0; outbound.max_packet().saturating_add(1)].into_boxed_slice();
    let (out, back) = (Counters::default(), Counters::default());
    let connection = link.connection.clone();
    let mut pump = QuicPump { connection, device, outbound, inbound, out, back, space, waiting: None };
    pump.device.attach().map_err(|source| TunnelError::Device { source })?;
    let result = tokio::select! {
        biased;
        _ = stopped => Ok(Ended::Stopped),
        result = pump.relay(shared) => result,
    };
    shared.publish(&pump.out, &pump.back);
    link.connection.close(STOPPED, b"");
    result
}

impl<D: PacketDevice> QuicPump<D> {
    async fn relay(&mut self, shared: &Shared) -> Result<Ended, TunnelError> {
        loop {
            let Self { connection, device, space, waiting, .. } = self;
            let room = async |waiting: &Option<Bytes>| match waiting {
                Some(packet) => connection.send_datagram_wait(packet.clone()).await,
                None => std::future::pending().await,
            };
            tokio::select! {
                datagram = connection.read_datagram() => match datagram {
                    Ok(packet) => self.deliver(&packet)?,
                    Err(error) => return ended(&error),
                },
                sent = room(waiting) => {
                    self.waiting = None;
                    if let Some(end) = self.judge(sent)? {
                        return Ok(end);
                    }
                }
                count = poll_fn(|cx| device.poll_recv(cx, space)), if waiting.is_none() => match count {
                    Ok(0) => return Ok(Ended::DeviceClosed),
                    Ok(count) => {
                        if let Some(end) = self.send(count)? {
                            return Ok(end);
                        }
                    }
                    Err(source) => return Err(TunnelError::Device { source }),
                },
            }
            shared.publish(&self.out, &self.back);
        }
    }

    /// Sends the first `count` bytes of the space, or lets them wait for room.
    fn send(&mut self, count: usize) -> Result<Option<Ended>, TunnelError> {
        let packet = self.space.get(..count).unwrap_or_default();
        if !self.out.admit(&self.outbound, packet) {
            return Ok(None);
        }
        let packet = Bytes::copy_from_slice(packet);
        if self.connection.datagram_send_buffer_space() < count {
            self.waiting = Some(packet);
            return Ok(None);
        }
        let sent = self.connection.send_datagram(packet);
        self.judge(sent)
    }

    fn judge(&mut self, sent: Result<(), SendDatagramError>) -> Result<Option<Ended>, TunnelError> {
        match sent {
            Ok(()) => Ok(None),
            Err(SendDatagramError::ConnectionLost(error)) => ended(&error).map(Some),
            // The path got narrower; the packet is lost, as on any network.
            Err(SendDatagramError::TooLarge) => {
                self.out.count_refused();
                Ok(None)
            }
            Err(error) => Err(lost(&error)),
        }
    }

    fn deliver(&mut self, packet: &[u8]) -> Result<(), TunnelError> {
        if self.back.admit(&self.inbound, packet) {
            match self.device.send(packet) {
                Ok(Delivery::Taken) => {}
                Ok(Delivery::Refused) => self.back.count_refused(),
                Err(source) => return Err(TunnelError::Device { source }),
            }
        }
        Ok(())
    }
}

/// A close by the peer is an end, everything else a failure.
fn ended(error: &ConnectionError) -> Result<Ended, TunnelError> {
    match error {
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset => Ok(Ended::PeerClosed),
        ConnectionError::LocallyClosed => Ok(Ended::Stopped),
        other => Err(lost(other)),
    }
}

fn lost(error: &dyn std::error::Error) -> TunnelError {
    QuicError::Connection { during: "relay", detail: error.to_string() }.into()
}
