//! What systemd is told of the phones, in one line.

use iosmux_tunneld::model::{Device, Snapshot, State};

/// How many phones there are and what they wait for, e.g. `2 phones, 1 ready, 1 awaits trust: tap Trust on iPhone11,6 …`.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    let here: Vec<&Device> = snapshot.devices.iter().filter(|device| device.state != State::Gone).collect();
    let mut line = match here.len() {
        0 => "no phones".to_owned(),
        1 => "1 phone".to_owned(),
        count => format!("{count} phones"),
    };
    let ready = here.iter().filter(|device| device.state.is_usable()).count();
    if ready > 0 {
        line += &format!(", {ready} ready");
    }
    for (state, singular, plural, step) in [
        (State::AwaitingTrust, "awaits trust", "await trust", "tap Trust on"),
        (State::Locked, "is locked", "are locked", "unlock"),
        (State::Held, "needs help", "need help", "see iosmux status for"),
    ] {
        let mut waiting = here.iter().filter(|device| device.state == state);
        let Some(first) = waiting.next() else { continue };
        let count = waiting.count() + 1;
        let verb = if count == 1 { singular } else { plural };
        let others = if count == 1 { "" } else { " and others" };
        line += &format!(", {count} {verb}: {step} {}{others}", name(first));
    }
    line
}

/// What people call a phone, with the UDID that commands take.
fn name(device: &Device) -> String {
    let udid = &device.identity.udid;
    match &device.identity.product_type {
        Some(product) => format!("{product} {udid}"),
        None => udid.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use iosmux_tunneld::model::Identity;
    use std::time::Instant;

    /// A phone in a state.
    pub(crate) fn phone(number: u8, state: State) -> Device {
        let identity = Identity {
            udid: format!("00008020-00000000000012{number:02X}"),
            product_type: Some("iPhone11,6".to_owned()),
            os_version: Some("17.0.3".to_owned()),
            build: None,
        };
        Device { state, ..Device::gone(identity, 1, Instant::now()) }
    }

    #[test]
    fn one_line_says_how_many_there_are_and_what_they_wait_for() {
        let told = |states: &[State]| {
            let devices = (1..).zip(states).map(|(number, state)| phone(number, *state)).collect();
            line(&Snapshot { devices, ..Snapshot::default() })
        };
        let lines = [
            told(&[]),
            told(&[State::Gone]),
            told(&[State::CatalogueKnown]),
            told(&[State::RsdUntrusted, State::Suspect, State::CatalogueKnown]),
            told(&[State::CatalogueKnown, State::AwaitingTrust]),
            told(&[State::AwaitingTrust, State::Locked, State::AwaitingTrust, State::Held, State::Locked]),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
