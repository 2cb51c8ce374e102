//! `iosmux-tunneld run` as a service manager sees it: ready, alive, reloaded, ended. No phone is needed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);
/// What is looked for nowhere, and serves nobody else.
const QUIET: &str = "interfaces = [\"no-such-if0\"]\nagent = \"off\"\n[socket]\npath = \"off\"\n";

/// A daemon, and what it tells its service manager.
struct Service {
    child: Option<Child>,
    notify: UnixDatagram,
    address: SocketAddr,
    directory: TempDir,
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Service {
    fn start(command: &str, address: SocketAddr) -> Self {
        Self::start_into(&[command], QUIET, address, Stdio::piped())
    }

    fn start_into(command: &[&str], configuration: &str, address: SocketAddr, stdout: Stdio) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (config, socket) = (directory.path().join("tunneld.toml"), directory.path().join("notify"));
        fs::write(&config, configuration).unwrap();
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_read_timeout(Some(SOON)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_iosmux-tunneld"))
            .args(command)
            .arg("--config")
            .arg(&config)
            .arg("--state-dir")
            .arg(directory.path().join("state"))
            .args(["--listen", &address.to_string()])
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "400000")
            .env_remove("WATCHDOG_PID")
            .env("IOSMUX_LOG_FORMAT", "json")
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child: Some(child), notify, address, directory }
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("tunneld.toml")
    }

    /// The next thing that the service manager is told; signs of life only if they are asked for.
    fn told(&self, alive: bool) -> String {
        let mut buffer = [0; 1024];
        loop {
            let length = self.notify.recv(&mut buffer).expect("the service manager is told something");
            let told = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if alive || told != "WATCHDOG=1\n" {
                return told;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits until it listens, where no service manager is told.
    fn listens(&self) {
        let until = Instant::now() + SOON;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < until, "it does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end.
    fn end(mut self) -> Output {
        let mut child = self.child.take().unwrap();
        let until = Instant::now() + SOON;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                child.kill().unwrap();
                panic!("it does not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().unwrap()
    }

    fn hello(&self) -> String {
        self.get("/hello")
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn lines(output: &Output) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(&output.stderr).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn ready_is_told_when_the_registry_answers_and_stopping_before_the_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let service = Service::start("run", free_address());
        assert_eq!(service.told(false), "READY=1\nSTATUS=no phones\n");
        assert!(service.hello().starts_with("HTTP/1.1 200"), "{}", service.hello());
        service.signal(signal);
        assert_eq!(service.told(false), "STOPPING=1\nSTATUS=shutting down\n");
        let output = service.end();
        assert_eq!(output.status.code(), Some(0), "{signal}: {output:?}");
        assert!(output.stdout.is_empty(), "a service prints nothing");
        let listens = lines(&output).into_iter().find(|line| line["message"] == "the registry listens");
        assert!(listens.is_some_and(|line| line["level"] == "INFO"), "{output:?}");
    }
}

#[test]
fn signs_of_life_come_twice_in_the_watchdogs_time() {
    let service = Service::start("run", free_address());
    assert_eq!(service.told(false), "READY=1\nSTATUS=no phones\n");
    let began = Instant::now();
    let mut signs = 0;
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(service.told(true), "WATCHDOG=1\n");
        signs += 1;
    }
    assert!((5..=12).contains(&signs), "{signs} signs in 2 s with a watchdog of 0.4 s");
}

#[test]
fn sighup_reads_the_configuration_again_and_a_bad_one_changes_nothing() {
    let service = Service::start("run", free_address());
    assert_eq!(service.told(false), "READY=1\nSTATUS=no phones\n");
    let reload = |text: &str| {
        fs::write(service.config(), text).unwrap();
        service.signal(Signal::SIGHUP);
        let reloading = service.told(false);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::trim_end);
        assert!(since.is_some_and(|since| since.parse::<u64>().is_ok()), "{reloading}");
        assert_eq!(service.told(false), "READY=1\nSTATUS=no phones\n");
    };
    reload(&format!("pair = \"never\"\nhosts = [\"lab\"]\n{QUIET}"));
    reload("pair = \"always\"\n");
    reload(QUIET);
    assert!(service.hello().starts_with("HTTP/1.1 200"), "it lives");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.told(false), "STOPPING=1\nSTATUS=shutting down\n");
    let output = service.end();
    assert_eq!(output.status.code(), Some(0));
    let lines = lines(&output);
    let count = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!(count("the configuration was read again"), 2, "{output:?}");
    assert_eq!(count("the configuration stays as it was"), 1, "{output:?}");
    let later = lines.iter().find(|line| line["message"] == "these keys hold after the next start only");
    assert_eq!(later.map(|line| line["keys"].as_str().unwrap()), Some("[\"hosts\"]"), "{output:?}");
    let bad = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    let error = bad["error"].as_str().unwrap();
    assert!(error.contains(":1:8: pair: \"ask\" or \"never\" was expected, \"always\" came"), "{error}");
}

#[test]
fn a_client_that_asks_for_the_end_gets_it() {
    let service = Service::start("run", free_address());
    assert_eq!(service.told(false), "READY=1\nSTATUS=no phones\n");
    let mut stream = TcpStream::connect(service.address).unwrap();
    write!(stream, "GET /shutdown HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", service.address)
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(service.told(false), "STOPPING=1\nSTATUS=shutting down\n");
    assert_eq!(service.end().status.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_a_failure_that_names_its_holder() {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = held.local_addr().unwrap();
    for command in ["run", "up"] {
        let output = Service::start(command, address).end();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(&format!("the registry can't listen on {address}")), "{told}");
        let (us, holder) = (format!("(process {})", std::process::id()), format!("{address} is held by "));
        assert!(told.contains(&holder) && told.contains(&us), "{told}");
    }
}

#[test]
fn records_that_others_can_read_are_a_matter_of_permission() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = tempfile::tempdir().unwrap();
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_iosmux-tunneld"));
    command
        .args(["up", "--listen", "127.0.0.1:0", "--interface", "no-such-if0", "--state-dir"])
        .arg(state.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("chmod 700"));
}

#[test]
fn a_state_directory_that_is_a_link_is_right_from_systemd_and_wrong_from_a_person() {
    use std::os::unix::fs::{DirBuilderExt as _, symlink};
    let root = tempfile::tempdir().unwrap();
    let link = root.path().join("iosmux-tunneld");
    // What DynamicUser= and StateDirectory= make.
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(root.path().join("private/iosmux-tunneld"))
        .unwrap();
    symlink("private/iosmux-tunneld", &link).unwrap();
    let config = root.path().join("tunneld.toml");
    fs::write(&config, QUIET).unwrap();
    let notify = UnixDatagram::bind(root.path().join("notify")).unwrap();
    notify.set_read_timeout(Some(SOON)).unwrap();
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iosmux-tunneld"));
        command.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
        command.env("NOTIFY_SOCKET", root.path().join("notify")).stderr(Stdio::null());
        command
    };
    let mut child = command().env("STATE_DIRECTORY", &link).spawn().unwrap();
    let mut told = [0; 64];
    let length = notify.recv(&mut told);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told[..length.expect("it starts")].starts_with(b"READY=1\n"));
    let output = command().arg("--state-dir").arg(&link).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("is not a directory"));
}

#[test]
fn up_says_where_it_listens_and_ends_with_the_terminal() {
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        let service = Service::start("up", free_address());
        service.listens();
        // Signals are followed before it listens.
        service.signal(signal);
        let address = service.address;
        let output = service.end();
        assert_eq!(output.status.code(), Some(0), "{signal}: {output:?}");
        let expected = format!("The registry listens on {address}; Ctrl-C ends it.\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

/// As after Ctrl-S in a terminal: there is no room for a single line, and nobody makes some.
#[test]
#[cfg(target_os = "linux")]
fn up_serves_and_ends_while_nobody_reads_its_lines() {
    use nix::fcntl::{FcntlArg, fcntl};
    for command in [&["up"][..], &["up", "--json"]] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let room = fcntl(&writer, FcntlArg::F_GETPIPE_SZ).unwrap();
        writer.write_all(&vec![0; usize::try_from(room).unwrap()]).unwrap();
        // An address where no phone is: it is tried again and again, and each change is a line.
        let configuration = format!("peers = [\"[::1]:9\"]\n{QUIET}");
        let service = Service::start_into(command, &configuration, free_address(), writer.into());
        service.listens();
        let until = Instant::now() + SOON;
        while !service.get("/v1/unidentified").contains("\"failures\":2") {
            assert!(Instant::now() < until, "{}", service.get("/v1/unidentified"));
            std::thread::sleep(Duration::from_millis(50));
        }
        service.signal(Signal::SIGINT);
        let output = service.end();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
        drop(reader);
    }
}

#[test]
fn up_ends_well_when_the_reader_of_its_lines_has_gone() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Service::start_into(&["up"], QUIET, free_address(), writer.into()).end();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}
