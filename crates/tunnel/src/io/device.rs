//! Where packets come from and go to on this side: a TUN device, or a channel.

use std::io;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// What a device did with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It took it.
    Taken,
    /// It could not: its queue is full, the interface is down. The packet is lost, as on any network.
    Refused,
}

/// A source and sink of whole IPv6 packets, polled by one task.
pub trait PacketDevice: Send + 'static {
    /// Called once, inside of the runtime that will poll.
    fn attach(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Receives one packet into `packet` and gives its length in bytes; zero when no more will come.
    ///
    /// A packet longer than the space may be cut; the pump's space is one MTU. Errors are final.
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Sends one packet without waiting. Errors are final.
    fn send(&mut self, packet: &[u8]) -> io::Result<Delivery>;

    /// Sends packets in their order, without waiting, and gives the number of those that were refused. A device that
    /// can take several at once does so here. Errors are final.
    fn send_all(&mut self, packets: &mut dyn Iterator<Item = &[u8]>) -> io::Result<u64> {
        let mut refused = 0_u64;
        for packet in packets {
            if self.send(packet)? == Delivery::Refused {
                refused = refused.saturating_add(1);
            }
        }
        Ok(refused)
    }
}

/// A device whose other end is in this process.
#[derive(Debug)]
pub struct ChannelDevice {
    to_user: mpsc::Sender<Vec<u8>>,
    from_user: mpsc::Receiver<Vec<u8>>,
}

/// The other end of a [`ChannelDevice`]: what a network stack is to a TUN device.
#[derive(Debug)]
pub struct ChannelEnd {
    to_device: mpsc::Sender<Vec<u8>>,
    from_device: mpsc::Receiver<Vec<u8>>,
}

/// A device and its other end, with room for `capacity` packets each way.
pub fn channel(capacity: usize) -> (ChannelDevice, ChannelEnd) {
    let (to_user, from_device) = mpsc::channel(capacity.max(1));
    let (to_device, from_user) = mpsc::channel(capacity.max(1));
    (ChannelDevice { to_user, from_user }, ChannelEnd { to_device, from_device })
}

impl PacketDevice for ChannelDevice {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let Some(sent) = ready!(self.from_user.poll_recv(cx)) else { return Poll::Ready(Ok(0)) };
            let count = sent.len().min(packet.len());
            if let (Some(space), Some(bytes)) = (packet.get_mut(..count), sent.get(..count)) {
                space.copy_from_slice(bytes);
            }
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        match self.to_user.try_send(packet.to_vec()) {
            Ok(()) => Ok(Delivery::Taken),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(Delivery::Refused),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl ChannelEnd {
    /// Sends a packet into the tunnel; waits for room. False when the tunnel is gone.
    pub async fn send(&self, packet: Vec<u8>) -> bool {
        self.to_device.send(packet).await.is_ok()
    }

    /// Receives a packet from the tunnel; `None` when the tunnel is gone.
    pub async fn recv(&mut self) -> Option<Vec<u8>> {
        self.from_device.recv().await
    }
}
