//! What a running daemon told, for the commands that run beside it.

use std::path::PathBuf;

use clap::Args;
use iosmux_bridge::config::state_file;
use iosmux_bridge::phone::Reason;
use iosmux_bridge::state::{Phone, Report, StateFile};
use iosmux_usb::Udid;

use super::failure::Failure;

/// Where it was told.
#[derive(Debug, Args)]
pub(super) struct Told {
    /// The daemon's state file, if its configuration names one
    #[arg(long, value_name = "PATH")]
    state_file: Option<PathBuf>,
}

impl Told {
    /// The state file.
    pub(super) fn path(&self) -> PathBuf {
        self.state_file.clone().unwrap_or_else(state_file)
    }

    /// What the daemon told; none when none runs. A file that can't be read is told and says nothing.
    pub(super) fn report(&self) -> Option<Report> {
        let path = self.path();
        StateFile::read_running(&path).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "the daemon's state can't be read");
            None
        })
    }

    /// Refuses to touch what a running daemon has: this phone, or any.
    pub(super) fn refuse(&self, udid: Option<&Udid>) -> Result<(), Failure> {
        let Some(report) = self.report() else { return Ok(()) };
        match (report.pid, udid) {
            (Some(pid), None) => Err(Failure::Running { pid }),
            (Some(pid), Some(udid)) if has(&report, udid) => {
                Err(Failure::Taken { udid: udid.to_string(), pid })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a daemon that told this has the phone; one whose configuration leaves it out has it not.
fn has(report: &Report, udid: &Udid) -> bool {
    let left_out =
        |phone: &Phone| phone.reason.as_ref().is_some_and(|reason| reason.name == Reason::NotAllowed.name());
    report.phones.iter().any(|phone| phone.udid.as_deref() == Some(udid.as_str()) && !left_out(phone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_bridge::state::Why;

    const UDID: &str = "00008020-0000000000001234";

    fn report(reason: Option<&Reason>) -> Report {
        let text = format!(r#"{{"id":"1-2","udid":"{UDID}","state":"held","netdevs":[]}}"#);
        let phone: Phone = serde_json::from_str(&text).unwrap();
        let phone = Phone { reason: reason.map(Why::from), ..phone };
        Report { pid: Some(812), ..Report::new(vec![phone]) }
    }

    #[test]
    fn a_daemon_has_the_phones_that_it_runs_whatever_they_wait_for() {
        let udid: Udid = UDID.parse().unwrap();
        let missing = Reason::BridgeMissing { bridge: "virbr0".to_owned() };
        for reason in [None, Some(&Reason::TooOld), Some(&missing)] {
            assert!(has(&report(reason), &udid));
        }
        let other: Udid = "00008020-0000000000005678".parse().unwrap();
        assert!(!has(&report(None), &other));
    }

    #[test]
    fn a_daemon_has_no_phone_that_its_configuration_leaves_out() {
        assert!(!has(&report(Some(&Reason::NotAllowed)), &UDID.parse().unwrap()));
    }

    #[test]
    fn who_takes_every_phone_is_refused_beside_a_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.json");
        let told = Told { state_file: Some(path.clone()) };
        told.refuse(None).unwrap();
        let file = StateFile::at(&path).unwrap();
        let pid = std::process::id();
        file.write(&Report { pid: Some(pid), ..report(None) }).unwrap();
        assert!(matches!(told.refuse(None), Err(Failure::Running { pid: found }) if found == pid));
        let (udid, other) = (UDID.parse().unwrap(), "00008020-0000000000005678".parse().unwrap());
        assert!(matches!(told.refuse(Some(&udid)), Err(Failure::Taken { .. })));
        told.refuse(Some(&other)).unwrap();
    }
}
