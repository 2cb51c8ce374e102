//! The file behind a TUN device: one packet per read and per write, with a header where the system has one. Linux takes
//! TCP segments that follow each other in one write, as a [`Run`].

use super::device::Delivery;
use crate::coalesce::{DEVICE_HEADER_LEN, MAX_SEGMENTS, PLAIN, Run, Segment};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What utun has before each packet: the address family, AF_INET6, big endian. Source: protocol.md §7.
const UTUN_HEADER: [u8; 4] = [0, 0, 0, 0x1e];

/// What stands before each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing: Linux with IFF_NO_PI.
    Plain,
    /// What is left to do with the packet: Linux with IFF_NO_PI and IFF_VNET_HDR. No offload is asked for, so that
    /// packets that are read are whole. Source: docs/research/tun-offload.md.
    Offload,
    /// [`UTUN_HEADER`]: macOS.
    Utun,
}

/// A non-blocking file of packets.
#[derive(Debug)]
pub(crate) struct TunFile {
    framing: Framing,
    state: State,
}

/// A file is polled by the runtime in which it was attached.
#[derive(Debug)]
enum State {
    Detached(File),
    Attached { file: AsyncFd<File>, gone: gone::Watch },
    Moving,
}

impl TunFile {
    pub(crate) fn new(file: File, framing: Framing) -> Self {
        Self { framing, state: State::Detached(file) }
    }

    pub(crate) fn attach(&mut self) -> io::Result<()> {
        if let State::Detached(file) = std::mem::replace(&mut self.state, State::Moving) {
            let gone = gone::Watch::of(&file)?;
            let file = register(file, Interest::READABLE)?;
            self.state = State::Attached { file, gone };
        }
        Ok(())
    }

    /// See [`super::PacketDevice::poll_recv`].
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut [u8]) -> Poll<io::Result<usize>> {
        let State::Attached { file, gone } = &self.state else { return Poll::Ready(Err(not_attached())) };
        loop {
            let read = match file.poll_read_ready(cx) {
                Poll::Ready(guard) => guard?.try_io(|file| self.framing.read(file.get_ref(), packet)),
                Poll::Pending => {
                    ready!(gone.poll(cx))?;
                    // The file says how it is gone.
                    Ok(self.framing.read(file.get_ref(), packet))
                }
            };
            match read {
                // Another protocol's packet, or the interrupt of a signal.
                Ok(Ok(None)) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Ok(Some(count))) => return Poll::Ready(Ok(count)),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }

    /// See [`super::PacketDevice::send`].
    pub(crate) fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        match self.framing.header() {
            None => self.write(&[IoSlice::new(packet)]),
            Some(header) => self.write(&[IoSlice::new(header), IoSlice::new(packet)]),
        }
    }

    /// See [`super::PacketDevice::send_all`].
    pub(crate) fn send_all(&mut self, packets: &mut dyn Iterator<Item = &[u8]>) -> io::Result<u64> {
        let mut refused = 0_u64;
        let framing = self.framing;
        let mut packets = packets.map(|packet| (packet, framing.segment(packet))).peekable();
        while let Some((packet, segment)) = packets.next() {
            let Some(first) = segment else {
                refused = refused.saturating_add(u64::from(self.send(packet)? == Delivery::Refused));
                continue;
            };
            let mut run = Run::of(&first);
            let mut payloads = [&[][..]; MAX_SEGMENTS];
            payloads[0] = first.payload();
            while let Some((_, Some(next))) =
                packets.next_if(|(_, next)| next.is_some_and(|next| run.join(&next)))
            {
                if let Some(place) = payloads.get_mut(run.segments().saturating_sub(1)) {
                    *place = next.payload();
                }
            }
            let segments = run.segments();
            if self.write_run(&mut run, &payloads)? == Delivery::Refused {
                refused = refused.saturating_add(u64::try_from(segments).unwrap_or(0));
            }
        }
        Ok(refused)
    }

    fn write_run(&self, run: &mut Run, payloads: &[&[u8]; MAX_SEGMENTS]) -> io::Result<Delivery> {
        let segments = run.segments();
        let mut slices = [IoSlice::new(&[]); MAX_SEGMENTS + 1];
        slices[0] = IoSlice::new(run.headers());
        let places = slices.iter_mut().skip(1).zip(payloads).take(segments);
        places.for_each(|(slice, payload)| *slice = IoSlice::new(payload));
        self.write(slices.get(..=segments).unwrap_or(&slices))
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<Delivery> {
        let State::Attached { file, .. } = &self.state else { return Err(not_attached()) };
        loop {
            match file.get_ref().write_vectored(slices) {
                Ok(_) => return Ok(Delivery::Taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_refusal(&error) => return Ok(Delivery::Refused),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Framing {
    /// What the system that this was built for has; the best first.
    pub(crate) const CHOICES: &[Self] = if cfg!(target_vendor = "apple") {
        &[Self::Utun]
    } else if cfg!(target_os = "linux") {
        &[Self::Offload, Self::Plain]
    } else {
        &[Self::Plain]
    };

    /// One packet, `None` for one that isn't IPv6.
    fn read(self, mut file: &File, packet: &mut [u8]) -> io::Result<Option<usize>> {
        if self == Self::Plain {
            return file.read(packet).map(Some);
        }
        let mut space = [0; DEVICE_HEADER_LEN];
        let header = space.get_mut(..self.header().map_or(0, <[u8]>::len)).unwrap_or_default();
        let count = file.read_vectored(&mut [IoSliceMut::new(header), IoSliceMut::new(packet)])?;
        let length = count.checked_sub(header.len()).filter(|_| self != Self::Utun || header == UTUN_HEADER);
        Ok(if count == 0 { Some(0) } else { length })
    }

    /// What is written before a packet.
    fn header(self) -> Option<&'static [u8]> {
        match self {
            Self::Plain => None,
            Self::Offload => Some(&PLAIN),
            Self::Utun => Some(&UTUN_HEADER),
        }
    }

    /// The packet as a segment, if the system takes runs of them and this one may be part of one.
    fn segment(self, packet: &[u8]) -> Option<Segment<'_>> {
        (self == Self::Offload).then(|| Segment::of(packet)).flatten()
    }
}

#[allow(unsafe_code, reason = "the runtime wants a promise that the file stays open")]
fn register(file: File, interest: Interest) -> io::Result<AsyncFd<File>> {
    // SAFETY: a File owns its descriptor, which nobody replaces or closes while it is registered: AsyncFd owns the File.
    Ok(unsafe { AsyncFd::register_with_interest(file, interest) }?)
}

/// Notices an interface that is deleted, by somebody or with its namespace.
#[cfg(target_os = "linux")]
mod gone {
    use super::{AsyncFd, Context, File, Interest, Poll, io, ready, register};

    /// The same file once more: the kernel reports a deleted interface as an error alone, which counts as "can't be
    /// written" and not as "can be read". Nothing else is reported to an interest in urgent data, which TUN has not.
    #[derive(Debug)]
    pub(super) struct Watch(AsyncFd<File>);

    impl Watch {
        pub(super) fn of(file: &File) -> io::Result<Self> {
            register(file.try_clone()?, Interest::PRIORITY).map(Self)
        }

        /// Ready when the interface is gone.
        pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.0.poll_write_ready(cx))?.retain_ready();
            Poll::Ready(Ok(()))
        }
    }
}

/// An utun interface lives as long as its file.
#[cfg(not(target_os = "linux"))]
mod gone {
    use super::{Context, File, Poll, io};

    #[derive(Debug)]
    pub(super) struct Watch;

    impl Watch {
        pub(super) fn of(_: &File) -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn poll(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }
}

fn not_attached() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// The interface is there but takes no packet now: it is down (EIO), or a queue is full (ENOBUFS).
fn is_refusal(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::InvalidInput, io::ErrorKind::OutOfMemory];
    kinds.contains(&error.kind()) || error.raw_os_error().is_some_and(|code| code == EIO || code == ENOBUFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    /// A file of packets and its other side, where each packet is a datagram.
    fn file(framing: Framing) -> (TunFile, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut file = TunFile { framing, state: State::Detached(File::from(OwnedFd::from(ours))) };
        file.attach().unwrap();
        (file, theirs)
    }

    async fn recv(file: &mut TunFile) -> Vec<u8> {
        let mut packet = [0; 100];
        let count = poll_fn(|cx| file.poll_recv(cx, &mut packet)).await.unwrap();
        packet[..count].to_vec()
    }

    #[tokio::test]
    async fn linux_packets_are_plain() {
        let (mut file, theirs) = file(Framing::Plain);
        theirs.send(b"one").unwrap();
        theirs.send(b"two").unwrap();
        assert_eq!((recv(&mut file).await, recv(&mut file).await), (b"one".to_vec(), b"two".to_vec()));
        assert_eq!(file.send(b"three").unwrap(), Delivery::Taken);
        let mut got = [0; 100];
        let count = theirs.recv(&mut got).unwrap();
        assert_eq!(&got[..count], b"three");
    }

    #[tokio::test]
    async fn utun_packets_have_their_family_before_them() {
        let (mut file, theirs) = file(Framing::Utun);
        theirs.send(b"\0\0\0\x02an IPv4 packet").unwrap();
        theirs.send(b"\0\0").unwrap();
        theirs.send(b"\0\0\0\x1ean IPv6 packet").unwrap();
        assert_eq!(recv(&mut file).await, b"an IPv6 packet");
        assert_eq!(file.send(b"another").unwrap(), Delivery::Taken);
        let mut got = [0; 100];
        let count = theirs.recv(&mut got).unwrap();
        assert_eq!(&got[..count], b"\0\0\0\x1eanother");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_does_not_block() {
        let (mut file, theirs) = file(Framing::Plain);
        let refused = (0..10_000).any(|_| file.send(b"packet").unwrap() == Delivery::Refused);
        assert!(refused);
        drop(theirs);
        assert!(file.send(b"packet").is_err());
    }
}
