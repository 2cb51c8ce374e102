//! Records on disk: who may read them, what a crash leaves, and that no name becomes a path.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "io")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use iosmux_pairing::control::device::PairPolicy;
use iosmux_pairing::record::{PairRecord, RecordError};
use iosmux_pairing::store::{Store, StoreError};
use support::{Scenario, UDID, rng, run};

fn record() -> PairRecord {
    run(Scenario::first_time(PairPolicy::Accept)).saved.unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn directory_and_files_are_for_the_owner_only() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("state/pairings");
    let store = Store::open(&directory).unwrap();
    store.save(&record()).unwrap();
    store.host_identity("vm", &mut rng(1)).unwrap();
    assert_eq!(mode(&directory), 0o700);
    for name in files(&directory) {
        assert_eq!(mode(&directory.join(&name)), 0o600, "{name}");
    }
    assert_eq!(files(&directory).len(), 2);
}

#[test]
fn a_record_is_found_again_and_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("p")).unwrap();
    assert!(store.load(UDID).unwrap().is_none());
    let record = record();
    store.save(&record).unwrap();
    store.save(&record).unwrap();
    let read = store.load(UDID).unwrap().unwrap();
    assert_eq!(read.host.private_key().as_slice(), record.host.private_key().as_slice());
    assert_eq!(store.list().unwrap().len(), 1);
    assert!(store.remove(UDID).unwrap());
    assert!(!store.remove(UDID).unwrap());
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_record_is_found_under_another_spelling_of_its_name() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("p")).unwrap();
    store.save(&record()).unwrap();
    store.save(&PairRecord { identifier: "OTHER".to_owned(), ..record() }).unwrap();
    let same = |one: &str, other: &str| one.replace('-', "") == other.replace('-', "");
    let found = |name: &str| store.find(name, same).unwrap().map(|record| record.identifier);
    assert_eq!(found(UDID).as_deref(), Some(UDID));
    assert_eq!(found(&UDID.replace('-', "")).as_deref(), Some(UDID));
    assert_eq!(found("NOBODY"), None);
}

#[test]
fn the_host_identity_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("p")).unwrap();
    let first = store.host_identity("vm", &mut rng(1)).unwrap();
    let second = store.host_identity("vm", &mut rng(2)).unwrap();
    assert_eq!(first.public_key(), second.public_key());
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn no_identifier_becomes_a_path() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("p")).unwrap();
    for identifier in ["../../etc/passwd", "/etc/passwd", "a/b", "a\0b", ""] {
        assert!(matches!(store.load(identifier), Err(StoreError::Identity(_))), "{identifier:?}");
        let bad = PairRecord { identifier: identifier.to_owned(), ..record() };
        assert!(matches!(store.save(&bad), Err(StoreError::Identity(_))), "{identifier:?}");
    }
    store.save(&PairRecord { identifier: "..".to_owned(), ..record() }).unwrap();
    let names = files(store.directory());
    assert_eq!(names.len(), 1);
    assert!(names[0].starts_with("peer-") && !names[0].contains(".."), "{names:?}");
    assert_eq!(files(root.path()), ["p"]);
}

#[test]
fn what_others_can_read_is_refused_with_the_fix() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("p");
    let store = Store::open(&directory).unwrap();
    store.save(&record()).unwrap();
    let file = directory.join(&files(&directory)[0]);
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let error = store.load(UDID).unwrap_err();
    assert!(matches!(error, StoreError::Permissions { mode: 0o640, .. }));
    assert!(error.to_string().contains(&format!("run chmod 600 {}", file.display())), "{error}");
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let error = Store::open(&directory).unwrap_err();
    assert!(error.to_string().contains("run chmod 700"), "{error}");
}

#[test]
fn links_long_files_and_moved_records_are_typed_errors() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("p");
    let store = Store::open(&directory).unwrap();
    store.save(&record()).unwrap();
    let file = directory.join(&files(&directory)[0]);

    store.save(&PairRecord { identifier: "OTHER".to_owned(), ..record() }).unwrap();
    let other = files(&directory).into_iter().map(|name| directory.join(name)).find(|path| *path != file);
    fs::rename(other.unwrap(), &file).unwrap();
    assert!(matches!(store.load(UDID), Err(StoreError::WrongRecord { .. })));

    fs::write(&file, vec![b' '; 70_000]).unwrap();
    assert!(matches!(store.load(UDID), Err(StoreError::TooLong { .. })));
    fs::write(&file, b"{}").unwrap();
    assert!(matches!(store.load(UDID), Err(StoreError::Record { source: RecordError::Json(_), .. })));

    let elsewhere = root.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(matches!(store.load(UDID), Err(StoreError::WrongKind { .. })));
}

#[test]
fn a_record_that_would_not_be_read_again_is_not_written() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("p")).unwrap();
    store.save(&record()).unwrap();
    let mut long = record();
    long.info.name = Some("x".repeat(70_000));
    let error = store.save(&long).unwrap_err();
    assert!(matches!(error, StoreError::TooLongToKeep { len: 70_000.., .. }), "{error}");
    assert_eq!(store.load(UDID).unwrap().unwrap().info.name, record().info.name);
    assert_eq!(files(store.directory()).len(), 1);
}

#[test]
fn a_record_that_cannot_be_read_hides_no_other() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("p")).unwrap();
    store.save(&record()).unwrap();
    let file = store.directory().join(&files(store.directory())[0]);
    store.save(&PairRecord { identifier: "OTHER".to_owned(), ..record() }).unwrap();
    fs::write(&file, vec![b' '; 70_000]).unwrap();
    let names: Vec<_> = store.list().unwrap().into_iter().map(|record| record.identifier).collect();
    assert_eq!(names, ["OTHER"]);
}

#[test]
fn an_unfinished_write_leaves_the_record_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("p");
    let store = Store::open(&directory).unwrap();
    store.save(&record()).unwrap();
    // What a crash before the rename leaves behind.
    fs::write(directory.join(".new-abc"), b"{\"schema\":").unwrap();
    assert!(store.load(UDID).unwrap().is_some());
    assert_eq!(store.list().unwrap().len(), 1);
}
