//! The daemon: whether it is ours that answers, and how its search for phones goes.

use listeners::Protocol;
use serde_json::{Map, Value};

use super::Check;
use crate::registry::wire::{Search, Version};
use crate::registry::{Registry, RegistryError};
use crate::table::lasting;
use iosmux_service::Exit;

const DAEMON: &str = "daemon";
const SEARCH: &str = "search";
/// What our daemon calls itself.
const OURS: &str = "iosmux-tunneld";

/// Asks who is there, and says whether it is our daemon. Beside an iosmux-bridge none has to be.
pub(super) async fn answers(registry: &Registry, bridges: bool) -> (Check, bool) {
    match registry.version().await {
        Ok(version) if version.name == OURS => (judge_version(&version), true),
        Ok(version) => (stranger(registry, &format!("it calls itself {}", version.name)).await, false),
        Err(error) if error.is_refusal() => {
            let step = "ask as a user whom its `[socket]` admits, or as root";
            (Check::fail(DAEMON, Exit::Permission, error.to_string(), Some(step.to_owned())), false)
        }
        Err(RegistryError::NoDaemon { address, source }) => {
            let found = format!("none answers at {address} ({source})");
            if bridges {
                let step = "if phones go to a VM, all is well here: run `iosmux doctor` there";
                return (Check::warn(DAEMON, found, Some(step.to_owned())), false);
            }
            let step =
                "start one with `sudo iosmux-tunneld up` (or its service), or say where it is with --url";
            (Check::fail(DAEMON, Exit::Failure, found, Some(step.to_owned())), false)
        }
        Err(error) => (stranger(registry, &error.to_string()).await, false),
    }
}

fn judge_version(version: &Version) -> Check {
    let Version { name, version, for_seconds, faces } = version;
    let running = lasting(*for_seconds as f64);
    let places: Vec<String> = faces.iter().map(|one| format!("{} on {}", one.faces, one.address)).collect();
    let found = format!("{name} {version}, running for {running}: {}", places.join("; "));
    if faces.iter().any(|one| one.faces.contains("go-ios")) {
        return Check::ok(DAEMON, found);
    }
    let step =
        "if you use go-ios: stop its own agent (`ios tunnel stopagent`) and restart the daemon".to_owned();
    Check::warn(DAEMON, format!("{found}; go-ios' agent is not served"), Some(step))
}

/// Something else answers there.
async fn stranger(registry: &Registry, why: &str) -> Check {
    let address = registry.address();
    let holder =
        address.port().and_then(holder).map(|holder| format!(", held by {holder}")).unwrap_or_default();
    if is_pymobiledevice3(registry).await {
        let found = format!("pymobiledevice3's tunneld answers at {address}{holder}");
        let step =
            "stop it: its clients work with iosmux-tunneld unchanged; or choose another port with --listen";
        return Check::fail(DAEMON, Exit::Failure, found, Some(step.to_owned()));
    }
    let step =
        "see which program has the port (`ss -ltnp`), stop it, or choose another with --listen and --url";
    Check::fail(
        DAEMON,
        Exit::Failure,
        format!("something else is at {address}{holder}: {why}"),
        Some(step.to_owned()),
    )
}

/// Whether the list of tunnels has the form that only pymobiledevice3's daemon gives without our own face.
/// Source: protocol.md §6.
async fn is_pymobiledevice3(registry: &Registry) -> bool {
    let tunnels: Result<Map<String, Value>, _> = registry.get("/").await;
    tunnels.is_ok_and(|tunnels| tunnels.values().all(Value::is_array))
}

/// Other users' processes are seen by root only.
fn holder(port: u16) -> Option<String> {
    let process = listeners::get_process_by_port(port, Protocol::TCP).ok()?;
    Some(format!("{} (process {})", process.name, process.pid))
}

/// How the search for phones goes.
pub(super) async fn search(registry: &Registry) -> Check {
    match registry.searches().await {
        Ok(searches) => judge_searches(&searches.searches),
        Err(error) => Check::fail(SEARCH, Exit::Failure, error.to_string(), None),
    }
}

fn judge_searches(searches: &[Search]) -> Check {
    let usable: Vec<&str> =
        searches.iter().filter(|search| search.usable).map(|search| search.interface.as_str()).collect();
    let trouble = searches
        .iter()
        .flat_map(|search| search.trouble.iter().map(|trouble| format!("{}: {trouble}", search.interface)));
    let trouble: Vec<String> = trouble.collect();
    if usable.is_empty() {
        let found = match trouble.as_slice() {
            [] => "the daemon looks for phones on no interface".to_owned(),
            trouble => format!("the daemon can look for phones on no interface ({})", trouble.join("; ")),
        };
        let step =
            "choose an interface that is up and has a link-local address, with --interface or `interfaces`";
        return Check::fail(SEARCH, Exit::Failure, found, Some(step.to_owned()));
    }
    let found = format!("the daemon looks for phones on {}", usable.join(", "));
    match trouble.as_slice() {
        [] => Check::ok(SEARCH, found),
        trouble => Check::warn(SEARCH, format!("{found}; trouble on {}", trouble.join("; ")), None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::registry::wire::Spoken;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn version(faces: &[&str]) -> Version {
        let spoken = |faces: &&str| Spoken { faces: (*faces).to_owned(), address: "127.0.0.1:1".to_owned() };
        Version {
            name: OURS.to_owned(),
            version: "0.1.0".to_owned(),
            for_seconds: 61,
            faces: faces.iter().map(spoken).collect(),
        }
    }

    #[test]
    fn a_missing_agent_is_worth_a_warning() {
        assert_eq!(judge_version(&version(&["pymobiledevice3, v1", "go-ios"])).verdict, Verdict::Ok);
        let without = judge_version(&version(&["pymobiledevice3, v1"]));
        assert_eq!(without.verdict, Verdict::Warn);
        assert!(without.found.contains("running for 1 min"), "{}", without.found);
    }

    #[test]
    fn a_search_without_interfaces_finds_nothing() {
        let search = |usable, trouble: &[&str]| Search {
            interface: "eth0".to_owned(),
            usable,
            trouble: trouble.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert_eq!(judge_searches(&[search(true, &[])]).verdict, Verdict::Ok);
        assert_eq!(judge_searches(&[search(true, &["no right to send echoes"])]).verdict, Verdict::Warn);
        assert_eq!(judge_searches(&[search(false, &["it is down"])]).verdict, Verdict::Fail);
        assert_eq!(judge_searches(&[]).verdict, Verdict::Fail);
    }

    /// What is said of somebody who answers every request with the same status and body.
    async fn somebody(status: &'static str, body: &'static str) -> Check {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Registry::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).await.unwrap();
                let own_face = asked[..length].starts_with(b"GET /v1/");
                let (status, body) = if own_face { ("404 Not Found", "{}") } else { (status, body) };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        tokio::select! {
            () = serve => unreachable!("it serves for ever"),
            (check, ours) = answers(&registry, false) => {
                assert!(!ours);
                check
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn pymobiledevice3s_daemon_is_recognised() {
        let check =
            somebody("200 OK", r#"{"00008020-0000000000001234":[{"tunnel-address":"fd00::1"}]}"#).await;
        assert!(
            check.found.starts_with("pymobiledevice3's tunneld answers at http://127.0.0.1:"),
            "{}",
            check.found
        );
        assert_eq!(check.exit, Exit::Failure);
        assert!(check.found.contains(&format!("(process {})", std::process::id())), "{}", check.found);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn any_other_server_is_something_else() {
        let check = somebody("200 OK", "hello").await;
        assert!(check.found.starts_with("something else is at http://127.0.0.1:"), "{}", check.found);
    }
}
