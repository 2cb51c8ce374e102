//! The pump over a bad path, with a simulated clock: whole TCP stacks at both ends, TCP or datagrams between.
//!
//! Nothing here waits or is random: the same seed gives the same packets, so the throughput is a table to compare with.

use super::*;
use crate::io::Delivery;
use crate::io::tunnel::Shared;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;
use std::io;
use std::net::Ipv6Addr;
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;

/// Microseconds.
type Micros = u64;

/// The path's speed: 20 Mbit/s.
const BYTES_PER_MILLI: u64 = 2500;
/// What every packet needs to the other end.
const DELAY: Micros = 5_000;
/// Bytes that wait for the path before more are lost: more than the windows let out.
const PATH_QUEUE: u64 = 512 * 1024;
/// Packets that a TUN device keeps, as Linux has it.
const DEVICE_QUEUE: usize = 500;
/// What a simulation lasts.
const DURATION: Micros = 10_000_000;
/// The clock's step.
const STEP: Micros = 250;
/// Buffers of each TCP socket.
const BUFFER: usize = 256 * 1024;
/// The MTU under the tunnel.
const OUTER_MTU: usize = 1500;

/// How bad a path is.
#[derive(Clone, Copy)]
struct Weather {
    loss_percent: u32,
    /// Delay of up to this much more, for each packet by itself.
    jitter: Micros,
    /// Whether a packet may overtake another for that.
    reorders: bool,
}

/// One direction of the path.
struct Path {
    weather: Weather,
    last: Micros,
    random: ChaCha8Rng,
    free_at: Micros,
    on_the_way: Vec<(Micros, Vec<u8>)>,
}

impl Path {
    fn new(weather: Weather, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { weather, last: 0, random, free_at: 0, on_the_way: Vec::new() }
    }

    fn send(&mut self, now: Micros, packet: Vec<u8>) {
        let length = packet.len() as u64;
        let start = self.free_at.max(now);
        if (start - now) * BYTES_PER_MILLI / 1000 > PATH_QUEUE {
            return;
        }
        self.free_at = start + length * 1000 / BYTES_PER_MILLI;
        let lost = self.random.next_u32() % 100 < self.weather.loss_percent;
        let jitter = u64::from(self.random.next_u32()) % (self.weather.jitter + 1);
        let mut arrives = self.free_at + DELAY + jitter;
        if !self.weather.reorders {
            self.last = self.last.max(arrives);
            arrives = self.last;
        }
        if !lost {
            self.on_the_way.push((arrives, packet));
        }
    }

    fn receive(&mut self, now: Micros) -> Option<Vec<u8>> {
        let arrived = self.on_the_way.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        let (first, _) = arrived.min_by_key(|(index, (at, _))| (*at, *index))?;
        Some(self.on_the_way.remove(first).1)
    }
}

/// What a stack sends and receives.
#[derive(Default)]
struct Wire {
    sent: VecDeque<Vec<u8>>,
    received: VecDeque<Vec<u8>>,
}

struct Port {
    wire: Wire,
    mtu: usize,
}

struct Received(Vec<u8>);
struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.wire.received.pop_front()?;
        Some((Received(packet), Sending(&mut self.wire.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        (self.wire.sent.len() < DEVICE_QUEUE).then_some(Sending(&mut self.wire.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}

/// A TCP stack with one socket.
struct Stack {
    interface: Interface,
    port: Port,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Stack {
    fn new(address: Ipv6Addr, mtu: usize) -> Self {
        let mut port = Port { wire: Wire::default(), mtu };
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, Instant::ZERO);
        interface.update_ip_addrs(|list| list.push(IpCidr::new(IpAddress::Ipv6(address), 64)).unwrap());
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_congestion_control(CongestionControl::Reno);
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Self { interface, port, sockets, handle }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn listen(&mut self) {
        self.socket().listen(7).unwrap();
    }

    fn connect(&mut self, to: Ipv6Addr) {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        socket.connect(self.interface.context(), (IpAddress::Ipv6(to), 7), 50_000).unwrap();
    }

    fn poll(&mut self, now: Micros) {
        let now = Instant::from_micros(i64::try_from(now).unwrap());
        self.interface.poll(now, &mut self.port, &mut self.sockets);
    }

    /// Sends as much as fits.
    fn fill(&mut self) {
        let socket = self.socket();
        if socket.may_send() {
            while socket.can_send() {
                socket.send(|space| (space.len(), ())).unwrap();
            }
        }
    }

    /// Reads what came and gives its length.
    fn drain(&mut self) -> u64 {
        let (socket, mut count) = (self.socket(), 0);
        while socket.can_recv() {
            count += socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap() as u64;
        }
        count
    }
}

/// Shared by the pump and the simulation; one thread.
type Held<T> = Arc<Mutex<T>>;

fn held<T>(value: T) -> Held<T> {
    Arc::new(Mutex::new(value))
}

fn open<T>(held: &Held<T>) -> MutexGuard<'_, T> {
    held.try_lock().unwrap()
}

/// An inner stack as the pump's device.
struct SimulatedDevice(Held<Stack>);

impl PacketDevice for SimulatedDevice {
    fn poll_recv(&mut self, _: &mut Context<'_>, packet: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(sent) = open(&self.0).port.wire.sent.pop_front() else { return Poll::Pending };
        packet[..sent.len()].copy_from_slice(&sent);
        Poll::Ready(Ok(sent.len()))
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        let queue = &mut open(&self.0).port.wire.received;
        if queue.len() >= DEVICE_QUEUE {
            return Ok(Delivery::Refused);
        }
        queue.push_back(packet.to_vec());
        Ok(Delivery::Taken)
    }
}

/// What is between the two pumps, at one end.
#[derive(Clone)]
enum SimulatedLink {
    /// A TCP connection: a write waits for room.
    Stream(Held<Stack>),
    /// One packet per datagram: out, in.
    Datagrams(Held<Wire>),
}

impl Link for SimulatedLink {
    fn poll_send(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<(), TunnelError>> {
        match self {
            Self::Stream(stack) => {
                let mut stack = open(stack);
                let socket = stack.socket();
                if !socket.may_send() || socket.send_capacity() - socket.send_queue() < bytes.len() {
                    return Poll::Pending;
                }
                assert_eq!(socket.send_slice(bytes), Ok(bytes.len()), "one write per packet");
            }
            Self::Datagrams(wire) => open(wire).sent.push_back(bytes.to_vec()),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, _: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize, TunnelError>> {
        let count = match self {
            Self::Stream(stack) => {
                let mut stack = open(stack);
                let socket = stack.socket();
                if socket.can_recv() { socket.recv_slice(space).unwrap() } else { 0 }
            }
            Self::Datagrams(wire) => open(wire).received.pop_front().map_or(0, |datagram| {
                space[..datagram.len()].copy_from_slice(&datagram);
                datagram.len()
            }),
        };
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn close(&mut self) {}
}

impl SimulatedLink {
    /// Runs this end for one step and gives what it puts on the path.
    fn step(&self, now: Micros, arrived: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self {
            Self::Stream(stack) => {
                let mut stack = open(stack);
                stack.port.wire.received.extend(arrived);
                stack.poll(now);
                stack.port.wire.sent.drain(..).collect()
            }
            Self::Datagrams(wire) => {
                let mut wire = open(wire);
                wire.received.extend(arrived);
                wire.sent.drain(..).collect()
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Stream,
    Datagrams,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToPhone,
    ToHost,
}

/// One end: its inner stack, its pump, its link.
struct End {
    inner: Held<Stack>,
    pump: Pump<SimulatedLink, SimulatedDevice>,
    link: SimulatedLink,
}

impl End {
    fn new(kind: Kind, role: Role, parameters: &Parameters) -> Self {
        let outer: [Ipv6Addr; 2] = ["fe80::1".parse().unwrap(), "fe80::2".parse().unwrap()];
        let link = match kind {
            Kind::Datagrams => SimulatedLink::Datagrams(held(Wire::default())),
            Kind::Stream => {
                let own = if role == Role::Host { outer[0] } else { outer[1] };
                let mut stack = Stack::new(own, OUTER_MTU);
                if role == Role::Host {
                    stack.connect(outer[1]);
                } else {
                    stack.listen();
                }
                SimulatedLink::Stream(held(stack))
            }
        };
        let mut inner = Stack::new(parameters.local_address(role), usize::from(parameters.mtu));
        if role == Role::Host {
            inner.connect(parameters.peer_address(role));
        } else {
            inner.listen();
        }
        let (inner, shared) = (held(inner), Arc::new(Shared::default()));
        let device = SimulatedDevice(Arc::clone(&inner));
        let pump = Pump::new(link.clone(), device, parameters, role, Options::default(), shared);
        Self { inner, pump, link }
    }

    /// Runs this end; gives the bytes that its application got and what goes on the path.
    fn step(&mut self, now: Micros, arrived: Vec<Vec<u8>>, sends: bool) -> (u64, Vec<Vec<u8>>) {
        let mut sent = self.link.step(now, arrived);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.pump.poll(&mut cx).is_pending(), "the tunnel lives");
        let count = {
            let mut inner = open(&self.inner);
            if sends {
                inner.fill();
            }
            inner.poll(now);
            inner.drain()
        };
        assert!(self.pump.poll(&mut cx).is_pending(), "the tunnel lives");
        sent.extend(self.link.step(now, Vec::new()));
        (count, sent)
    }
}

struct Outcome {
    received: u64,
    dropped: u64,
}

/// One transfer for [`DURATION`], after which the path is good again for as long as it takes to see the tunnel alive.
fn simulate(kind: Kind, way: Way, weather: Weather) -> Outcome {
    let parameters = Parameters {
        server_address: "fd00::1".parse().unwrap(),
        server_rsd_port: 7,
        client_address: "fd00::2".parse().unwrap(),
        mtu: if kind == Kind::Stream { crate::TCP_MTU } else { crate::QUIC_MTU },
    };
    let mut host = End::new(kind, Role::Host, &parameters);
    let mut phone = End::new(kind, Role::Device, &parameters);
    let mut paths = [Path::new(weather, 1), Path::new(weather, 2)];
    let (mut now, mut received, mut after) = (0, 0, 0);
    while after == 0 {
        let [to_phone, to_host] = &mut paths;
        let arrived = std::iter::from_fn(|| to_host.receive(now)).collect();
        let (at_host, sent) = host.step(now, arrived, way == Way::ToPhone);
        sent.into_iter().for_each(|packet| to_phone.send(now, packet));
        let arrived = std::iter::from_fn(|| to_phone.receive(now)).collect();
        let (at_phone, sent) = phone.step(now, arrived, way == Way::ToHost);
        sent.into_iter().for_each(|packet| to_host.send(now, packet));
        now += STEP;
        if now <= DURATION {
            received += at_host + at_phone;
        } else {
            paths.iter_mut().for_each(|path| path.weather.loss_percent = 0);
            after += at_host + at_phone;
            assert!(now < DURATION * 20, "nothing comes through a path that is good again");
        }
    }
    let drops = |end: &End| end.pump.out.dropped_total() + end.pump.back.dropped_total();
    Outcome { received, dropped: drops(&host) + drops(&phone) }
}

const CASES: [(Kind, Way); 4] = [
    (Kind::Stream, Way::ToPhone),
    (Kind::Stream, Way::ToHost),
    (Kind::Datagrams, Way::ToPhone),
    (Kind::Datagrams, Way::ToHost),
];

/// kB/s of each case; nothing may be dropped by the tunnel itself.
fn speeds(weather: Weather) -> [u64; 4] {
    CASES.map(|(kind, way)| {
        let outcome = simulate(kind, way, weather);
        assert_eq!(outcome.dropped, 0);
        outcome.received * 1000 / DURATION
    })
}

fn row(name: &str, [a, b, c, d]: [u64; 4]) -> String {
    format!("{name:<20} {a:>6} {b:>9} {c:>8} {d:>10}\n")
}

#[test]
fn throughput_under_loss() {
    let mut table = String::from("kB/s on 20 Mbit/s    TCP up  TCP down  QUIC up  QUIC down\n");
    for loss_percent in [0, 1, 2, 5, 10, 20, 30] {
        let speeds = speeds(Weather { loss_percent, jitter: 2_000, reorders: false });
        table += &row(&format!("{loss_percent} % loss"), speeds);
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_worst_weather_does_not_end_a_tunnel() {
    let speeds = speeds(Weather { loss_percent: 10, jitter: 200_000, reorders: true });
    insta::assert_snapshot!(row("10 %, 0-200 ms more", speeds));
}
