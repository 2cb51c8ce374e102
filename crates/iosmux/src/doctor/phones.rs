//! Each phone that the daemon knows, and each address where one may be.

use super::Check;
use crate::registry::wire::{Device, Standing, Unidentified};
use crate::registry::{Registry, RegistryError};
use crate::status::words;
use crate::table::lasting;
use iosmux_service::Exit;

const PHONE: &str = "phone";

/// Asks the daemon for all.
pub(super) async fn all(registry: &Registry) -> Vec<Check> {
    match ask(registry).await {
        Ok((devices, unidentified)) => judge(&devices, &unidentified),
        Err(error) => vec![Check::fail(PHONE, Exit::Failure, error.to_string(), None)],
    }
}

async fn ask(registry: &Registry) -> Result<(Vec<Device>, Vec<Unidentified>), RegistryError> {
    Ok((registry.devices().await?.devices, registry.unidentified().await?.unidentified))
}

fn judge(devices: &[Device], unidentified: &[Unidentified]) -> Vec<Check> {
    let here = devices.iter().filter(|device| device.is_here()).map(judge_device);
    let strangers = unidentified.iter().map(|one| {
        let check = judge_standing(&one.link.address, &one.standing, None);
        // A neighbour that is no phone breaks nothing.
        if one.is_phone() { check } else { Check::warn(PHONE, check.found, None) }
    });
    let mut checks: Vec<Check> = here.chain(strangers).collect();
    let phones = devices.iter().any(Device::is_here) || unidentified.iter().any(Unidentified::is_phone);
    if !phones {
        let gone = match devices.len() {
            0 => String::new(),
            gone => format!(" ({gone} were here and are gone)"),
        };
        let step =
            "plug one in, unlock it, and see that its cable leads to the bridge of this computer's interface";
        let found = format!("the daemon sees none{gone}");
        checks.push(Check::fail(PHONE, Exit::DeviceNotFound, found, Some(step.to_owned())));
    }
    checks
}

fn judge_device(device: &Device) -> Check {
    let what = [device.product_type.as_deref(), device.os_version.as_deref()];
    let what = what.into_iter().flatten().collect::<Vec<_>>().join(", iOS ");
    let who = if what.is_empty() { device.udid.clone() } else { format!("{} ({what})", device.udid) };
    judge_standing(&who, &device.standing, device.services)
}

fn judge_standing(who: &str, standing: &Standing, services: Option<usize>) -> Check {
    let state = words(&standing.state);
    let mut found = format!("{who}: {state} for {}", lasting(standing.for_seconds));
    if let Some(services) = services.filter(|_| standing.usable) {
        found += &format!(", {services} services");
    }
    if let Some(reason) = &standing.reason {
        found += &format!("; {reason}");
    }
    if let Some(seconds) = standing.retry_in_seconds {
        found += &format!("; tried again in {}", lasting(seconds));
    }
    let step = standing.next_step.clone();
    let broken = |exit| Check::fail(PHONE, exit, found.clone(), step.clone());
    match (standing.state.as_str(), standing.concern.as_deref()) {
        // As somebody wished.
        ("unsupported", Some("configuration")) => Check::warn(PHONE, found, step),
        ("unsupported", _) => broken(Exit::UnsupportedHere),
        ("held", Some("configuration")) => broken(Exit::Usage),
        ("held", Some("rights")) => broken(Exit::Permission),
        ("awaiting-trust" | "held", _) => broken(Exit::NotPaired),
        ("locked" | "down" | "stopped", _) => broken(Exit::Failure),
        ("catalogue-known", _) => Check { next_step: step, ..Check::ok(PHONE, found) },
        // On its way, in doubt, or reached otherwise: time will tell.
        _ => Check::warn(PHONE, found, step),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::registry::wire::{device, standing};

    #[test]
    fn each_state_has_its_verdict() {
        for (state, verdict, exit) in [
            ("catalogue-known", Verdict::Ok, Exit::Failure),
            ("pairing", Verdict::Warn, Exit::Failure),
            ("suspect", Verdict::Warn, Exit::Failure),
            ("a-state-of-tomorrow", Verdict::Warn, Exit::Failure),
            ("awaiting-trust", Verdict::Fail, Exit::NotPaired),
            ("held", Verdict::Fail, Exit::NotPaired),
            ("down", Verdict::Fail, Exit::Failure),
            ("unsupported", Verdict::Fail, Exit::UnsupportedHere),
        ] {
            let checks = judge(&[device(1, state)], &[]);
            assert_eq!(checks.len(), 1);
            assert_eq!((checks[0].verdict, checks[0].exit), (verdict, exit), "{state}");
        }
    }

    #[test]
    fn what_this_computer_is_to_blame_for_has_its_own_code() {
        for (state, concern, verdict, exit) in [
            ("unsupported", "configuration", Verdict::Warn, Exit::Failure),
            ("held", "configuration", Verdict::Fail, Exit::Usage),
            ("held", "rights", Verdict::Fail, Exit::Permission),
            ("held", "a-concern-of-tomorrow", Verdict::Fail, Exit::NotPaired),
        ] {
            let mut phone = device(1, state);
            phone.standing.concern = Some(concern.to_owned());
            let checks = judge(&[phone], &[]);
            assert_eq!((checks[0].verdict, checks[0].exit), (verdict, exit), "{state} {concern}");
        }
    }

    #[test]
    fn without_a_phone_the_cable_is_to_blame() {
        let none = judge(&[], &[]);
        assert_eq!((none[0].verdict, none[0].exit), (Verdict::Fail, Exit::DeviceNotFound));
        let gone = judge(&[device(1, "gone")], &[]);
        assert!(gone[0].found.contains("1 were here and are gone"), "{}", gone[0].found);
    }

    #[test]
    fn a_neighbour_that_is_no_phone_breaks_nothing() {
        let mut link = device(1, "down").link.unwrap();
        link.source = "neighbour".to_owned();
        let router = Unidentified { link, standing: standing("down") };
        let checks = judge(&[device(1, "catalogue-known")], &[router]);
        assert_eq!(
            checks.iter().map(|check| check.verdict).collect::<Vec<_>>(),
            [Verdict::Ok, Verdict::Warn]
        );
    }

    #[test]
    fn a_phone_is_told_with_reason_and_time() {
        let mut down = device(1, "down");
        down.standing.reason = Some("the tunnel ended: the phone closed it".to_owned());
        down.standing.retry_in_seconds = Some(4.2);
        let found = &judge(&[down], &[])[0].found;
        assert_eq!(
            found,
            "00008020-0000000000001234 (iPhone11,6, iOS 17.0.3): down for 1 min; the tunnel ended: the phone closed it; \
             tried again in 4 s"
        );
    }
}
