//! The Unix socket asks the kernel who is at the other end.

mod registry;

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use iosmux_tunneld::fleet;
use iosmux_tunneld::http::{BindError, HttpConfig, Server, SocketConfig};
use nix::unistd::{getegid, geteuid, setgid, setuid};
use registry::{Registry, ask_socket};
use tokio::process::Command;

/// Groups that nobody is in.
const STRANGE: [u32; 2] = [2_000_000_001, 2_000_000_002];
const HOST: &str = "host: anything\r\n";
/// A user and a group that nobody is and nobody is in.
const OTHER: u32 = 12_345;
/// Where the run of this program that plays that user finds the socket.
const SOCKET: &str = "IOSMUX_TEST_SOCKET_FOR_ANOTHER_USER";
/// What such a run says before the status of its answer, and before the reason when it can't become that user.
const ANSWERED: &str = "another user was answered ";
const STAYS: &str = "can't become another user: ";

async fn registry(socket: SocketConfig) -> Registry {
    Registry::start_with(HttpConfig { socket: Some(socket), ..HttpConfig::default() }).await
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn security_socket_peer() {
    let folder = folder();
    let path = folder.path().join("registry.sock");
    // Everybody but us: the kernel says who we are, and no header changes it.
    let others = SocketConfig { uids: vec![geteuid().as_raw() + 1], ..SocketConfig::new(&path) };
    let registry = registry(others).await;
    for target in ["/", "/shutdown", "/v1/devices", "/metrics", "/nowhere"] {
        let answer = ask_socket(&path, target, HOST).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (403, &"refused-user".into()),
            "{target}"
        );
    }
    assert!(registry.is_running());
    let metrics = registry.get("/metrics").await.body;
    assert!(metrics.contains("iosmux_http_refused_total{reason=\"user\"} 5\n"), "{metrics}");
}

#[tokio::test]
async fn security_socket_peer_admits_root_and_the_own_user() {
    let folder = folder();
    let path = folder.path().join("registry.sock");
    let config = SocketConfig::new(&path);
    assert_eq!(config.uids, [0, geteuid().as_raw()]);
    let _registry = registry(config).await;
    assert_eq!(mode(&path), 0o660);
    for target in ["/hello", "/v1/devices"] {
        assert_eq!(ask_socket(&path, target, HOST).await.status, 200);
    }
    // No name of a host matters there, but pages stay out.
    assert_eq!(ask_socket(&path, "/hello", "").await.status, 200);
    for page in ["origin: null\r\n", "referer: http://localhost/\r\n", "sec-fetch-site: cross-site\r\n"] {
        assert_eq!(ask_socket(&path, "/hello", page).await.status, 403, "{page}");
    }
}

#[tokio::test]
async fn security_socket_peer_admits_a_configured_group() {
    let folder = folder();
    let path = folder.path().join("registry.sock");
    let nobody = vec![geteuid().as_raw() + 1];
    let config = SocketConfig { uids: nobody, gids: vec![getegid().as_raw()], ..SocketConfig::new(&path) };
    let _registry = registry(config).await;
    assert_eq!(ask_socket(&path, "/hello", HOST).await.status, 200);
    assert_eq!((std::fs::metadata(&path).unwrap().gid(), mode(&path)), (getegid().as_raw(), 0o660));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn security_socket_peer_of_any_of_several_groups_can_open_it() {
    let folder = folder();
    let path = folder.path().join("registry.sock");
    let (ours, nobody) = (getegid().as_raw(), vec![geteuid().as_raw() + 1]);
    // A file has one group only: ours is not the first.
    let config =
        SocketConfig { uids: nobody.clone(), gids: vec![STRANGE[0], ours], ..SocketConfig::new(&path) };
    let one = registry(config).await;
    assert_eq!(mode(&path), 0o666);
    assert_eq!(ask_socket(&path, "/hello", HOST).await.status, 200);
    drop(one);
    let path = folder.path().join("others.sock");
    let config = SocketConfig { uids: nobody, gids: STRANGE.to_vec(), ..SocketConfig::new(&path) };
    let _others = registry(config).await;
    assert_eq!(mode(&path), 0o666);
    assert_eq!(ask_socket(&path, "/hello", HOST).await.status, 403, "to open it is not to use it");
}

/// Under the unit for systemd nothing may be given away. So it is for a thread that touches files as nobody.
#[test]
#[cfg(target_os = "linux")]
fn security_socket_peer_of_a_group_that_the_file_can_not_get_can_open_it() {
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().join("registry.sock");
    let bound = || {
        nix::unistd::setfsuid(65534.into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _registry =
                registry(SocketConfig { gids: vec![STRANGE[0]], ..SocketConfig::new(&path) }).await;
            assert_ne!(std::fs::metadata(&path).unwrap().gid(), STRANGE[0], "it was given away");
            assert_eq!(mode(&path), 0o666);
            assert_eq!(ask_socket(&path, "/hello", HOST).await.status, 200);
        });
    };
    std::thread::scope(|scope| scope.spawn(bound).join().unwrap());
}

/// Who serves and who asks are one process in the other tests: one that took its own user for its peer's would pass them. The
/// same function plays the other user, in a second run of this program.
#[tokio::test]
async fn security_socket_peer_is_who_asks_and_not_who_serves() {
    if let Ok(path) = std::env::var(SOCKET) {
        println!("\n{}", asked_as_another(Path::new(&path)).await);
        return;
    }
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = |name| SocketConfig { mode: 0o666, ..SocketConfig::new(folder.path().join(name)) };
    let usual = socket("usual");
    let user = SocketConfig { uids: vec![OTHER], ..socket("user") };
    let group = SocketConfig { mode: 0o660, uids: vec![STRANGE[0]], gids: vec![OTHER], ..socket("group") };
    for (config, ours, theirs) in [(usual, 200, 403), (user, 403, 200), (group, 403, 200)] {
        let path = config.path.clone();
        let _registry = registry(config).await;
        let Some(answered) = answer_to_another(&path).await else { return };
        assert_eq!(answered, theirs, "the other user at {path:?}");
        assert_eq!(ask_socket(&path, "/v1/devices", HOST).await.status, ours, "ourselves at {path:?}");
    }
}

/// The status of what the other user is answered. Where we can't become one, which takes a right and a second user in this
/// namespace, that is said and there is none.
async fn answer_to_another(path: &Path) -> Option<u16> {
    let name = "security_socket_peer_is_who_asks_and_not_who_serves";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", name, "--nocapture"]).env(SOCKET, path);
    let output = again.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let behind = |words: &str| said.lines().find_map(|line| line.strip_prefix(words)).map(str::to_owned);
    if let Some(why) = behind(STAYS) {
        // Not by a macro: what those say is shown of failed tests only.
        std::io::stderr().write_all(format!("\nleft out: {name}: {STAYS}{why}\n").as_bytes()).unwrap();
        return None;
    }
    Some(behind(ANSWERED).unwrap_or_else(|| panic!("{output:?}")).parse().unwrap())
}

/// Becomes the other user and asks.
async fn asked_as_another(path: &Path) -> String {
    match setgid(OTHER.into()).and_then(|()| setuid(OTHER.into())) {
        Ok(()) => format!("{ANSWERED}{}", ask_socket(path, "/v1/devices", HOST).await.status),
        Err(errno) => format!("{STAYS}{}", errno.desc()),
    }
}

async fn bind(path: &Path) -> Result<Server, BindError> {
    let config = HttpConfig { socket: Some(SocketConfig::new(path)), ..HttpConfig::default() };
    Server::bind(config, fleet::channel().0).await
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced_and_a_living_ones_is_not() {
    let folder = folder();
    let path = folder.path().join("registry.sock");
    // What a killed daemon leaves.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let living = bind(&path).await.unwrap();
    assert!(matches!(bind(&path).await, Err(BindError::SocketInUse { .. })));
    drop(living);
    assert!(!path.exists(), "the socket's file stays behind");
    std::fs::write(&path, "a file").unwrap();
    assert!(matches!(bind(&path).await, Err(BindError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    let nowhere = bind(&folder.path().join("no/such/folder")).await;
    assert!(matches!(nowhere, Err(BindError::Socket { .. })));
}
