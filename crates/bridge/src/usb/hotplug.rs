//! When looking at USB again is worth it: udev's messages where it runs, the kernel's always, a clock where neither comes.

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_KOBJECT_UEVENT;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::uevent::{MAX_MESSAGE, concerns_us};
use crate::ports::Changes;

/// The kernel's messages: at once, before udev has looked. Source: the kernel's lib/kobject_uevent.c.
const KERNEL: u32 = 1;
/// udev's messages: when it has carried out its rules, names included. Source: systemd's device-monitor.c.
const UDEV: u32 = 2;
/// Room for a storm of messages, in bytes: a hub full of devices.
const ROOM: i32 = 1024 * 1024;
/// The clock, where messages can't be had.
const POLL: Duration = Duration::from_secs(1);

/// Follows USB devices and their network interfaces.
pub struct Watch(Source);

enum Source {
    Messages { socket: TokioSocket, message: Vec<u8> },
    Clock(Interval),
}

impl Watch {
    /// Both groups at once, whoever sends: a udev that is started later is heard as well.
    pub(super) fn open() -> Self {
        match socket() {
            Ok(socket) => Self(Source::Messages { socket, message: Vec::with_capacity(MAX_MESSAGE) }),
            Err(error) => {
                tracing::info!(%error, "no messages about devices: looking each second");
                Self(Source::clock())
            }
        }
    }
}

impl Source {
    fn clock() -> Self {
        let mut clock = interval(POLL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Clock(clock)
    }
}

impl Changes for Watch {
    async fn changed(&mut self) -> io::Result<()> {
        loop {
            match &mut self.0 {
                Source::Clock(clock) => {
                    clock.tick().await;
                    return Ok(());
                }
                Source::Messages { socket, message } => match next(socket, message).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(%error, "messages about devices have ended: looking each second");
                        self.0 = Source::clock();
                    }
                },
            }
        }
    }
}

fn socket() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_KOBJECT_UEVENT)?;
    // As much as the system allows; where a message is lost all the same, the next one is worth a look.
    if let Err(error) = socket.socket_ref().set_rx_buf_sz(ROOM) {
        tracing::debug!(%error, "messages about devices have the usual room");
    }
    socket.socket_mut().bind(&SocketAddr::new(0, KERNEL | UDEV))?;
    Ok(socket)
}

/// Whether the next message is worth a look. One that was lost is.
async fn next(socket: &mut TokioSocket, message: &mut Vec<u8>) -> io::Result<bool> {
    message.clear();
    match socket.recv_from(message).await {
        // Sent to a group, which only the kernel and root can; anybody may send to us alone.
        Ok(from) if from.multicast_groups() == 0 => Ok(false),
        Ok(_) => Ok(concerns_us(message)),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[tokio::test(start_paused = true)]
    async fn where_no_messages_come_a_clock_nudges() {
        let mut watch = Watch(Source::clock());
        let start = tokio::time::Instant::now();
        for _ in 0..4 {
            watch.changed().await.unwrap();
        }
        assert_eq!(start.elapsed(), POLL * 3);
    }

    #[tokio::test]
    async fn messages_to_us_alone_are_not_heard() {
        let mut socket = socket().unwrap();
        let mut ours = SocketAddr::new(0, 0);
        socket.socket_ref().get_address(&mut ours).unwrap();
        let other = netlink_sys::Socket::new(NETLINK_KOBJECT_UEVENT).unwrap();
        let message = super::super::uevent::tests::kernel("usb");
        other.send_to(&message, &SocketAddr::new(ours.port_number(), 0), 0).unwrap();
        let mut buffer = Vec::with_capacity(MAX_MESSAGE);
        assert!(!next(&mut socket, &mut buffer).await.unwrap());
        let nothing = pin!(next(&mut socket, &mut buffer)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(nothing, Poll::Pending));
    }
}
