//! Cargo.lock is committed as cargo wants it: `cargo xtask` itself writes it anew where it is not.

/// What is wrong when these files differ from the last commit.
pub(crate) fn wrong(changed: &[String]) -> Vec<String> {
    let lock = changed.iter().any(|name| name == "Cargo.lock");
    let manifests = changed.iter().any(|name| name == "Cargo.toml" || name.ends_with("/Cargo.toml"));
    if lock && !manifests {
        return vec!["Cargo.lock changed although no Cargo.toml did: commit it".into()];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_not_committed_is_named() {
        assert_eq!(wrong(&["Cargo.lock".into()]).len(), 1);
    }

    #[test]
    fn a_lock_that_changes_with_a_manifest_is_work_in_progress() {
        assert_eq!(wrong(&["Cargo.lock".into(), "crates/a/Cargo.toml".into()]), Vec::<String>::new());
        assert_eq!(wrong(&[]), Vec::<String>::new());
    }
}
