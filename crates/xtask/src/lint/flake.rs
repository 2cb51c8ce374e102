//! flake.lock holds what flake.nix asks for.

use serde_json::Value;
use std::collections::BTreeMap;

/// Where flake.nix and flake.lock differ, or an entry is not pinned.
pub(crate) fn wrong(flake: &str, lock: &str) -> Vec<String> {
    let Ok(lock) = serde_json::from_str::<Value>(lock) else { return vec!["flake.lock is not JSON".into()] };
    let mut wrong = Vec::new();
    if lock["version"] != 7 {
        wrong.push(format!("flake.lock has version {}, expected 7", lock["version"]));
    }
    let asked = inputs(flake);
    let root = lock["nodes"][lock["root"].as_str().unwrap_or("root")]["inputs"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (name, url) in &asked {
        let Some(node) = root.get(name).and_then(Value::as_str) else {
            wrong.push(format!("flake.lock has no input {name}"));
            continue;
        };
        let locked = original(&lock["nodes"][node]["original"]);
        if locked.as_deref() != Some(url) {
            wrong.push(format!("input {name} is {url} in flake.nix and {locked:?} in flake.lock"));
        }
    }
    for name in root.keys().filter(|name| !asked.contains_key(*name)) {
        wrong.push(format!("flake.lock has an input {name} that flake.nix does not ask for"));
    }
    for (name, node) in lock["nodes"].as_object().into_iter().flatten() {
        if Some(name.as_str()) != lock["root"].as_str() && !is_pinned(&node["locked"]) {
            wrong.push(format!("flake.lock does not pin {name} by revision and hash"));
        }
    }
    wrong
}

/// `NAME.url = "…";` lines within `inputs = { … };`.
fn inputs(flake: &str) -> BTreeMap<String, String> {
    let block = flake
        .split_once("inputs = {")
        .map_or("", |(_, rest)| rest.split_once("\n  };").map_or(rest, |(b, _)| b));
    let entry = |line: &str| {
        let (name, url) = line.trim().split_once(".url = \"")?;
        Some((name.to_owned(), url.split('"').next()?.to_owned()))
    };
    block.lines().filter_map(entry).collect()
}

fn original(value: &Value) -> Option<String> {
    let part = |name: &str| value[name].as_str();
    let base = format!("{}:{}/{}", part("type")?, part("owner")?, part("repo")?);
    Some(part("ref").map_or(base.clone(), |reference| format!("{base}/{reference}")))
}

fn is_pinned(locked: &Value) -> bool {
    let revision = locked["rev"].as_str().unwrap_or_default();
    let hash = locked["narHash"].as_str().unwrap_or_default();
    revision.len() == 40
        && revision.chars().all(|c| c.is_ascii_hexdigit())
        && hash.strip_prefix("sha256-").is_some_and(|hash| hash.len() == 44 && hash.ends_with('='))
        && locked["lastModified"].as_u64().is_some_and(|time| time > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAKE: &str = "{\n  inputs = {\n    a.url = \"github:o/a/branch\";\n  };\n  outputs = x: { };\n}\n";

    fn lock(input: &str, reference: &str, revision: &str) -> String {
        format!(
            r#"{{"nodes":{{"{input}":{{"locked":{{"lastModified":1,"narHash":"sha256-{}=","owner":"o","repo":"a",
            "rev":"{revision}","type":"github"}},"original":{{"owner":"o","ref":"{reference}","repo":"a",
            "type":"github"}}}},"root":{{"inputs":{{"{input}":"{input}"}}}}}},"root":"root","version":7}}"#,
            "A".repeat(43)
        )
    }

    #[test]
    fn a_matching_lock_passes() {
        assert_eq!(wrong(FLAKE, &lock("a", "branch", &"0".repeat(40))), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_named() {
        let good = "0".repeat(40);
        for (text, part) in [
            (lock("b", "branch", &good), "no input a"),
            (lock("b", "branch", &good), "does not ask for"),
            (lock("a", "other", &good), "in flake.lock"),
            (lock("a", "branch", "0123"), "does not pin a"),
            ("{".into(), "not JSON"),
        ] {
            let found = wrong(FLAKE, &text);
            assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:?}");
        }
    }
}
