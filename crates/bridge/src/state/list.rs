//! Phones on USB, and where a running daemon has them: what anybody may look at.

use std::io;

use crate::ports::UsbHost as _;
use crate::privileges::Access;
use crate::usb::Host;

use super::report::{Phone, Report};

/// Looks at USB, and takes over what a daemon `told` of a phone. Needs no rights, and asks the phones nothing.
///
/// # Errors
/// When the system does not show its USB.
pub async fn list(told: Option<Report>) -> io::Result<Report> {
    let phones = Host::new(Access::Directly)?.list().await?;
    for address in phones.late {
        tracing::error!(%address, "the kernel does not show a phone, which leaves a request unanswered: plug it in again");
    }
    Ok(merged(phones.attached.iter().map(Phone::seen).collect(), told))
}

/// What is seen, with what a daemon told of the same enumeration of the same phone.
fn merged(seen: Vec<Phone>, told: Option<Report>) -> Report {
    let Some(told) = told else { return Report::new(seen) };
    let one = |phone: Phone| {
        let same = |other: &&Phone| {
            (&other.id, &other.udid, other.address) == (&phone.id, &phone.udid, phone.address)
        };
        told.phones.iter().find(same).cloned().unwrap_or(phone)
    };
    let phones = seen.into_iter().map(one).collect();
    Report { phones, ..told }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(id: &str, state: Option<&str>) -> Phone {
        let known = serde_json::json!({ "id": id, "state": state, "netdevs": [], "address": [1, 4] });
        serde_json::from_value(known).unwrap()
    }

    #[test]
    fn what_a_daemon_told_of_another_enumeration_is_left_out() {
        let told = Report::new(vec![
            phone("1-2", Some("joined")),
            Phone { address: Some([1, 3]), ..phone("1-3", Some("joined")) },
        ]);
        let report = merged(vec![phone("1-2", None), phone("1-3", None)], Some(told));
        let states: Vec<_> = report.phones.iter().map(|phone| phone.state.as_deref()).collect();
        assert_eq!(states, [Some("joined"), None]);
    }
}
