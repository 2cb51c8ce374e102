//! What a person can do while the lab stays up.

use std::process;

use iosmux_lab::{Isolation, Lab};

use super::report::{Namespace, Report};

/// The command that enters each namespace, host first.
pub(super) fn namespaces(lab: &Lab, isolation: Isolation) -> Vec<Namespace> {
    let pid = process::id();
    let user = match isolation {
        // The capabilities are kept because the namespace has only one user to change to, which we are.
        Isolation::User => format!("--target {pid} --user --preserve-credentials "),
        Isolation::Root => String::new(),
    };
    let join = |fd: i32| format!("nsenter {user}--net=/proc/{pid}/fd/{fd}");
    let namespaces = lab.namespaces();
    namespaces.map(|one| Namespace { name: one.name().to_owned(), join: join(one.raw_fd()) }).collect()
}

/// The page that is shown while the lab stays up.
pub(super) fn page(report: &Report<'_>) -> String {
    let namespaces = report.namespaces;
    let mut lines =
        vec!["The lab stays up until Ctrl-C. Join a namespace as the user who started it:".to_owned()];
    let width = namespaces.iter().map(|namespace| namespace.name.len()).max().unwrap_or_default();
    lines.extend(namespaces.iter().map(|one| format!("  {:width$}  {}", one.name, one.join)));
    lines.push("Works there, for example:".to_owned());
    let mut example = |name: &str, command: &str| lines.push(format!("  {name:width$}  {command}"));
    example("host", "bridge link");
    example("vm", "iosmux status");
    for phone in report.phones.iter().take(1) {
        let (address, port) = (phone.tunnel.address, phone.tunnel.rsd_port);
        example("vm", &format!("ping -c 1 {address}"));
        example("vm", &format!("pymobiledevice3 remote rsd-info --rsd {address} {port}"));
        example("vm", &format!("pymobiledevice3 lockdown info --tunnel {}", phone.udid));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::report::with_report;

    #[test]
    fn the_page_reads_as_intended() {
        with_report(|report| insta::assert_snapshot!(page(report)));
    }
}
