//! The cable: phones on this computer's USB, and the daemon that makes them ports of a bridge.

use std::path::Path;

use iosmux_bridge::phone::{Reason, State};
use iosmux_bridge::state::{self, DROPPED, Phone, Report, StateFile};
use iosmux_service::Exit;

use super::Check;

const CABLE: &str = "cable";

/// Looks at USB, and at what a running iosmux-bridge tells in its state file; and says whether one runs. A computer with neither
/// a phone nor that daemon, as a VM is, has nothing to be told of.
pub(super) async fn look(state_file: Option<&Path>) -> (Vec<Check>, bool) {
    let state_file = state_file.map_or_else(iosmux_bridge::config::state_file, Path::to_owned);
    let (told, mut checks) = match StateFile::read_running(&state_file) {
        Ok(told) => (told, Vec::new()),
        Err(error) => {
            let found =
                format!("what iosmux-bridge tells in {} can't be read: {error}", state_file.display());
            (None, vec![Check::warn(CABLE, found, None)])
        }
    };
    let runs = told.is_some();
    checks.extend(match state::list(told).await {
        Ok(report) => judge(&report),
        Err(error) => vec![Check::warn(CABLE, format!("USB can't be looked at: {error}"), None)],
    });
    (checks, runs)
}

fn judge(report: &Report) -> Vec<Check> {
    if let (Some(pid), true) = (report.pid, report.phones.is_empty()) {
        let found = format!("iosmux-bridge runs (process {pid}), and no phone is plugged in");
        let step = "plug one in and unlock it; if it is, try another cable or port";
        return vec![Check::fail(CABLE, Exit::DeviceNotFound, found, Some(step.to_owned()))];
    }
    report.phones.iter().map(judge_phone).collect()
}

fn judge_phone(phone: &Phone) -> Check {
    let is = |state: State| phone.state.as_deref() == Some(state.name());
    let name = phone.name();
    if let Some(why) = &phone.reason {
        let (found, step) = (format!("{name}: {}", why.text), Some(why.next_step.clone()));
        let waits = is(State::Held) && why.name != Reason::NotAllowed.name();
        return if waits {
            Check::fail(CABLE, Exit::Failure, found, step)
        } else {
            Check::warn(CABLE, found, step)
        };
    }
    if is(State::Joined) {
        return judge_joined(phone);
    }
    match &phone.state {
        Some(state) => Check::warn(CABLE, format!("{name} is on its way to the bridge ({state})"), None),
        None => {
            let found = format!("{name} is plugged in, and no iosmux-bridge puts it on a bridge");
            let step = "if a VM is to have it, run `iosmux-bridge up` or its service";
            Check::warn(CABLE, found, Some(step.to_owned()))
        }
    }
}

fn judge_joined(phone: &Phone) -> Check {
    let place = match (&phone.bridge, &phone.interface) {
        (Some(bridge), Some(interface)) => format!("{bridge}, as {}", interface.name),
        _ => "its bridge".to_owned(),
    };
    let found = format!("{} is on {place}", phone.name());
    match phone.notices.iter().find(|notice| notice.name == DROPPED) {
        Some(notice) => Check::fail(
            CABLE,
            Exit::Failure,
            format!("{found}, but {}", notice.text),
            Some(notice.next_step.clone()),
        ),
        None => Check::ok(CABLE, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use iosmux_bridge::state::{Interface, InterfaceDriver, Why};

    fn phone(state: Option<State>, reason: Option<&Reason>) -> Phone {
        let text = r#"{"id":"1-2","udid":"00008020-0000000000001234","bridge":"virbr0","netdevs":[]}"#;
        let phone: Phone = serde_json::from_str(text).unwrap();
        Phone {
            state: state.map(|state| state.name().to_owned()),
            reason: reason.map(Why::from),
            interface: Some(Interface {
                index: 7,
                name: "iosmux7".to_owned(),
                driver: InterfaceDriver::Kernel,
            }),
            ..phone
        }
    }

    #[test]
    fn each_state_has_its_verdict() {
        let missing = Reason::BridgeMissing { bridge: "virbr0".to_owned() };
        for (state, reason, verdict) in [
            (Some(State::Joined), None, Verdict::Ok),
            (Some(State::Switching), None, Verdict::Warn),
            (Some(State::Held), Some(&missing), Verdict::Fail),
            (Some(State::Held), Some(&Reason::NotAllowed), Verdict::Warn),
            (None, None, Verdict::Warn),
        ] {
            let check = judge_phone(&phone(state, reason));
            assert_eq!(check.verdict, verdict, "{check:?}");
        }
    }

    #[test]
    fn what_is_found_is_told_with_the_next_step() {
        let missing = Reason::BridgeMissing { bridge: "virbr0".to_owned() };
        let dropped = Why {
            name: DROPPED.to_owned(),
            text: "the chain forward drops frames".to_owned(),
            next_step: "let it accept them".to_owned(),
        };
        let checks: Vec<Check> = [
            phone(Some(State::Joined), None),
            Phone { notices: vec![dropped], ..phone(Some(State::Joined), None) },
            phone(Some(State::Held), Some(&missing)),
            phone(Some(State::NetdevUp), None),
            phone(None, None),
        ]
        .iter()
        .map(judge_phone)
        .collect();
        insta::assert_json_snapshot!(checks);
    }

    #[test]
    fn a_daemon_without_a_phone_waits_for_one_and_a_vm_has_no_cable() {
        let host = judge(&Report { pid: Some(812), ..Report::new(Vec::new()) });
        assert_eq!((host[0].verdict, host[0].exit), (Verdict::Fail, Exit::DeviceNotFound));
        assert!(judge(&Report::new(Vec::new())).is_empty());
    }
}
