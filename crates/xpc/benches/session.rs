//! What an idle session costs, and how fast messages pass through a pair of sessions.
#![allow(clippy::print_stdout, missing_docs)]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use iosmux_xpc::{
    Dictionary, Object,
    io::{Connection, Event, Events},
    session::{Role, Session, SessionConfig},
};
use tokio::net::{TcpListener, TcpStream};

const SESSIONS: usize = 1000;
const MESSAGE: usize = 1 << 20;
const MESSAGES: usize = 256;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number");
    pages * 4096
}

fn settle(a: &mut Session, b: &mut Session) {
    loop {
        let (from_a, from_b) = (a.take_output(), b.take_output());
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        b.receive(Duration::ZERO, &from_a).expect("honest");
        a.receive(Duration::ZERO, &from_b).expect("honest");
    }
}

fn open_pair() -> (Session, Session) {
    let mut client = Session::new(Role::Client, SessionConfig::default(), Duration::ZERO);
    let mut server = Session::new(Role::Server, SessionConfig::default(), Duration::ZERO);
    settle(&mut client, &mut server);
    while client.poll_event().is_some() || server.poll_event().is_some() {}
    (client, server)
}

async fn connected(listener: &TcpListener) -> [(Connection, Events); 2] {
    let address = listener.local_addr().expect("bound");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let mut client = Connection::client(client.expect("loopback"), SessionConfig::default());
    let mut server = Connection::server(server.expect("loopback").0, SessionConfig::default());
    for (_, events) in [&mut client, &mut server] {
        assert!(matches!(events.next().await, Some(Ok(Event::Opened))));
    }
    [client, server]
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches too: then one pair is enough.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let count = if bench { SESSIONS } else { 1 };

    let before = resident();
    let pairs: Vec<_> = (0..count).map(|_| open_pair()).collect();
    let sans_io = (resident() - before) / (2 * count);
    drop(pairs);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let driven = runtime.block_on(async {
        let listener = TcpListener::bind("[::1]:0").await.expect("loopback");
        // What the allocator kept from the sessions before is used up first.
        let mut kept = Vec::with_capacity(2 * count);
        for _ in 0..count {
            kept.push(connected(&listener).await);
        }
        let before = resident();
        for _ in 0..count {
            kept.push(connected(&listener).await);
        }
        (resident() - before) / (2 * count)
    });

    let (mut client, mut server) = open_pair();
    let object: Object = Dictionary::new().with("blob", vec![7; MESSAGE]).into();
    let start = Instant::now();
    for _ in 0..if bench { MESSAGES } else { 1 } {
        client.send(&object, false).expect("open");
        settle(&mut client, &mut server);
        assert!(server.poll_event().is_some());
    }
    let rate = (MESSAGES * MESSAGE) as f64 / start.elapsed().as_secs_f64() / 1e9;
    if bench {
        println!("idle session without I/O   {:>7.1} KiB resident", sans_io as f64 / 1024.0);
        println!("idle connection with tokio {:>7.1} KiB resident", driven as f64 / 1024.0);
        println!("1 MiB messages, one thread, both ends: {rate:.2} GB/s");
    }
    ExitCode::SUCCESS
}
