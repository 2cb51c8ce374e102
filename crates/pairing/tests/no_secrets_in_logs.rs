//! No secret reaches a log at any level, in any form, and none a debug text.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use iosmux_pairing::control::device::{DeviceControl, PairPolicy};
use iosmux_pairing::control::host::{HostControl, HostEvent};
use iosmux_pairing::record::PairRecord;
use support::{HOST_KEY, Outcome, Scenario, Wire, device_config, device_identity, host_config, run};
use zeroize::Zeroizing;

const PIN: &str = "271828182845";

thread_local! {
    /// What this thread has logged.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Each test runs on a thread of its own and reads what that one has logged.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that is written at every level while `work` runs. The subscriber is the whole process's: one of a thread
/// would lose the events whose places another thread, which has none, reaches first.
fn logged<T>(work: impl FnOnce() -> T) -> (T, Vec<u8>) {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(|| Log);
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    });
    LOGGED.take();
    (work(), LOGGED.take())
}

/// A secret in every form in which it could be printed; of long ones their first eight bytes too.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let start = secret.get(..8).filter(|_| secret.len() > 12);
    for bytes in [Some(secret), start].into_iter().flatten() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list: Vec<_> = bytes.iter().map(ToString::to_string).collect();
        let hex_list: Vec<_> = bytes.iter().map(|byte| format!("{byte:x}")).collect();
        forms.extend([
            bytes.to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            list.join(", ").into_bytes(),
            hex_list.join(", ").into_bytes(),
            // Without the last group, which differs when the secret stands inside something longer.
            STANDARD.encode(&bytes[..bytes.len() / 3 * 3]).into_bytes(),
            URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() / 3 * 3]).into_bytes(),
        ]);
    }
    forms
}

fn secrets(outcomes: &[Outcome]) -> Vec<(String, Vec<u8>)> {
    let device = device_identity(600);
    let mut secrets = vec![
        ("PIN".to_owned(), PIN.as_bytes().to_vec()),
        ("remote unlock key".to_owned(), HOST_KEY.as_bytes().to_vec()),
        ("remote unlock key, decoded".to_owned(), STANDARD.decode(HOST_KEY).unwrap()),
        ("device's private key".to_owned(), device.private_key().to_vec()),
        ("device's altIRK".to_owned(), device.alt_irk().expose().to_vec()),
    ];
    let host = host_config(None).identity;
    secrets.push(("host's private key".to_owned(), host.private_key().to_vec()));
    secrets.push(("host's altIRK".to_owned(), host.alt_irk().expose().to_vec()));
    for outcome in outcomes {
        secrets
            .extend(outcome.opened.iter().map(|request| ("pre-shared key".to_owned(), request.key.to_vec())));
    }
    secrets
}

fn assert_clean(text: &[u8], secrets: &[(String, Vec<u8>)], place: &str) {
    for (name, secret) in secrets {
        for form in forms(secret) {
            let found = text.windows(form.len()).any(|window| window == form);
            assert!(!found, "{name} is in {place} as {:?}", String::from_utf8_lossy(&form));
        }
    }
}

fn dialogues() -> Vec<Outcome> {
    let mut with_pin = Scenario::first_time(PairPolicy::Pin(Zeroizing::new(PIN.into())));
    with_pin.device.handshake.options.allows_pinless_pairing = None;
    with_pin.pins = vec![PIN];
    let with_pin = run(with_pin);
    let mut wrong = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("314159265358".into())));
    wrong.device.handshake.options.allows_pinless_pairing = None;
    wrong.pins = vec![PIN];
    let accepted = run(Scenario { wire: Wire::RpPairing, ..Scenario::first_time(PairPolicy::Accept) });
    let verified = run(Scenario::again(&accepted));
    let mut changed = Scenario::again(&accepted);
    changed.device.identity = device_identity(601);
    vec![with_pin, run(wrong), verified, run(changed), accepted]
}

#[test]
fn no_secret_is_logged_at_trace_level() {
    let (outcomes, log) = logged(dialogues);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.opened.is_some()).count(), 3);
    assert!(log.len() > 2000, "the log is too short to prove anything: {} bytes", log.len());
    assert!(log.windows(5).any(|window| window == b"TRACE"));
    assert_clean(&log, &secrets(&outcomes), "the log");
}

#[test]
fn no_secret_is_in_a_debug_text() {
    let outcomes = dialogues();
    let text = format!("{outcomes:#?} {outcomes:?}");
    assert_clean(text.as_bytes(), &secrets(&outcomes), "an outcome's debug text");
}

#[test]
fn the_machines_their_events_and_their_records_show_no_secret() {
    let outcomes = dialogues();
    let record: PairRecord = outcomes[0].saved.clone().unwrap();
    let host = host_config(Some(record.clone()));
    let device = device_config(PairPolicy::Pin(Zeroizing::new(PIN.into())));
    let text = format!(
        "{record:?} {host:?} {device:?} {:?} {:?}",
        HostControl::new(host.clone()),
        DeviceControl::new(device.clone())
    );
    assert_clean(text.as_bytes(), &secrets(&outcomes), "a debug text");
    let pin = format!("{:?}", HostEvent::Pin(Zeroizing::new(PIN.into())));
    assert_clean(pin.as_bytes(), &secrets(&outcomes), "the debug text of an event");
}

/// The search finds what it looks for: a logger that prints a key is caught.
#[test]
fn the_search_finds_a_planted_secret() {
    let key = device_identity(600).private_key();
    let ((), log) = logged(|| tracing::trace!(key = ?key.as_slice(), "planted"));
    let found = std::panic::catch_unwind(|| assert_clean(&log, &secrets(&[]), "the log"));
    assert!(found.is_err());
}
