//! The hops between this computer and its phones, looked at one by one: each with what was found and what to do.

#[cfg(target_os = "linux")]
mod cable;
mod daemon;
mod machine;
mod phones;

/// Elsewhere phones are never ours on USB.
#[cfg(not(target_os = "linux"))]
mod cable {
    pub(super) async fn look(_: Option<&std::path::Path>) -> (Vec<super::Check>, bool) {
        (Vec::new(), false)
    }
}

use std::path::Path;

use console::style;
use serde::Serialize;

use crate::registry::Registry;
use iosmux_service::Exit;

/// The form of the JSON. It changes when a field changes its meaning or goes away; new fields keep it.
const SCHEMA: &str = "iosmux-doctor/1";
/// How wide the names of hops are.
const WIDTH: usize = 11;

/// How a hop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// It works.
    Ok,
    /// It works, and something is worth knowing.
    Warn,
    /// Nothing behind it can work.
    Fail,
}

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    hop: &'static str,
    verdict: Verdict,
    /// In words.
    found: String,
    /// What to do; none where there is nothing to do.
    next_step: Option<String>,
    /// How a command ends that needs this hop, when it is broken.
    #[serde(skip)]
    exit: Exit,
}

/// All hops.
#[derive(Debug)]
pub(crate) struct Examination {
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    checks: &'a [Check],
    /// The hop to mend first; null when all work.
    first_broken: Option<&'static str>,
    /// The same in a sentence.
    conclusion: String,
}

impl Check {
    fn ok(hop: &'static str, found: impl Into<String>) -> Self {
        Self { hop, verdict: Verdict::Ok, found: found.into(), next_step: None, exit: Exit::Failure }
    }

    fn warn(hop: &'static str, found: impl Into<String>, next_step: Option<String>) -> Self {
        Self { verdict: Verdict::Warn, next_step, ..Self::ok(hop, found) }
    }

    fn fail(hop: &'static str, exit: Exit, found: impl Into<String>, next_step: Option<String>) -> Self {
        Self { verdict: Verdict::Fail, next_step, exit, ..Self::ok(hop, found) }
    }
}

impl Examination {
    /// Looks at everything; `state_file` is iosmux-bridge's. Changes nothing.
    pub(crate) async fn of(registry: &Registry, state_file: Option<&Path>) -> Self {
        let mut checks = vec![machine::system()];
        let (cable, bridges) = cable::look(state_file).await;
        checks.extend(cable);
        let (daemon, answers) = daemon::answers(registry, bridges).await;
        // Who has phones for a VM needs no tunnels of its own.
        if answers || !bridges {
            checks.push(machine::tunnels(answers));
            checks.push(machine::interfaces().await);
        }
        checks.push(daemon);
        if answers {
            checks.push(daemon::search(registry).await);
            checks.extend(phones::all(registry).await);
        }
        Self { checks }
    }

    fn first_broken(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.verdict == Verdict::Fail)
    }

    /// The exit code when a hop is broken.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.first_broken().map(|check| check.exit)
    }

    /// The JSON form.
    pub(crate) fn json(&self) -> impl Serialize {
        let first_broken = self.first_broken().map(|check| check.hop);
        Json { schema: SCHEMA, checks: &self.checks, first_broken, conclusion: self.conclusion() }
    }

    /// A line for each hop, and the first broken one in a sentence.
    pub(crate) fn text(&self) -> String {
        let mut lines: Vec<String> = self.checks.iter().map(line).collect();
        lines.push(self.conclusion());
        lines.join("\n")
    }

    fn conclusion(&self) -> String {
        let Some(check) = self.first_broken() else { return "Every hop works.".to_owned() };
        let next = check.next_step.as_ref().map(|step| format!(". Next: {step}")).unwrap_or_default();
        format!("The first broken hop is {}: {}{next}.", check.hop, check.found)
    }
}

fn line(check: &Check) -> String {
    let mark = match check.verdict {
        Verdict::Ok => style("✓").green(),
        Verdict::Warn => style("!").yellow(),
        Verdict::Fail => style("✗").red(),
    };
    let line = format!("{mark} {:WIDTH$} {}", check.hop, check.found);
    match &check.next_step {
        Some(step) => format!("{line}\n  {:WIDTH$} → {step}", ""),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examination(last: Check) -> Examination {
        let step = || Some("see which program has the port".to_owned());
        Examination {
            checks: vec![
                Check::ok("system", "Linux 6.12.1"),
                Check::warn("daemon", "go-ios' agent is not served", step()),
                last,
            ],
        }
    }

    #[test]
    fn the_lines_read_as_intended() {
        let step = Some("tap Trust on the phone".to_owned());
        let broken = Check::fail("phone", Exit::NotPaired, "00008020-0000000000001234 asks its user", step);
        let examination = examination(broken);
        assert_eq!(examination.exit(), Some(Exit::NotPaired));
        insta::assert_snapshot!(console::strip_ansi_codes(&examination.text()));
        insta::assert_json_snapshot!(examination.json());
    }

    #[test]
    fn a_warning_breaks_nothing() {
        let examination = examination(Check::ok("phone", "ready"));
        assert_eq!(examination.exit(), None);
        assert!(examination.text().ends_with("Every hop works."));
    }
}
