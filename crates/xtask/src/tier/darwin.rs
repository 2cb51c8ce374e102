//! darwin: what macOS gets, built for it on this machine.

use super::Session;
use crate::darwin::{Darwin, OLDEST, TARGET};
use crate::macho;
use crate::table::seconds;
use anyhow::{Context as _, Result};
use cargo_metadata::diagnostic::DiagnosticLevel;
use cargo_metadata::{Artifact, CompilerMessage, Message, Target, TargetKind};
use std::time::Duration;

pub(super) const ABOUT: [(&str, &str); 3] = [
    (
        "proves",
        "what macOS gets compiles for x86_64 without a warning, OpenSSL and ring included, and links; nothing is run",
    ),
    ("needs", "perl and make; Debian's rust-src of rustc's version and PyPI's zig, kept in $IOSMUX_CACHE"),
    (
        "budget",
        "on 2 cores: 2 minutes warm; the first time also 150 MB of downloads and 10 minutes of building",
    ),
];

/// OpenSSL alone takes 5 minutes.
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// What macOS gets: package, kind and name of the target. A feature `io` is switched on where there is one.
///
/// Each is one counted test. A library is compiled, a program is linked as well.
const PRODUCTS: [Product; 10] = [
    ("iosmux-xpc", TargetKind::Lib, "iosmux_xpc"),
    ("iosmux-mdns", TargetKind::Lib, "iosmux_mdns"),
    ("iosmux-pairing", TargetKind::Lib, "iosmux_pairing"),
    ("iosmux-tunnel", TargetKind::Lib, "iosmux_tunnel"),
    ("iosmux-link", TargetKind::Lib, "iosmux_link"),
    ("iosmux-capture", TargetKind::Lib, "iosmux_capture"),
    ("iosmux-service", TargetKind::Lib, "iosmux_service"),
    ("iosmux-tunneld", TargetKind::Lib, "iosmux_tunneld"),
    ("iosmux-tunneld", TargetKind::Bin, "iosmux-tunneld"),
    ("iosmux", TargetKind::Bin, "iosmux"),
];

type Product = (&'static str, TargetKind, &'static str);

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let darwin = Darwin::provide(session.log()).context("this tier can't run here")?;
    build(session, &darwin, &PRODUCTS)
}

/// One call of cargo, so that what the products share is built once.
fn build(session: &mut Session<'_>, darwin: &Darwin, products: &[Product]) -> Result<()> {
    let mut command = darwin.cargo_build(session.project)?;
    command.arg("--message-format=json").args(words(session, products));
    let what = format!("build for {TARGET}");
    let done = session.log().run(&what, &mut command, DEADLINE)?;
    let heard = Heard::from(&done.output);
    let results: Vec<_> = products.iter().map(|product| heard.judge(product)).collect();
    if !done.success() {
        session.log().show_failure(&what, &done.output);
        for line in heard.elsewhere(products) {
            session.log().say(&line);
        }
        if results.iter().all(Result::is_ok) {
            session.check(&what, Err(vec![done.ending()]));
        }
    }
    session.log().say(&format!("{what}: {}", seconds(done.time)));
    for ((package, kind, name), result) in products.iter().zip(results) {
        let name = if *kind == TargetKind::Lib { String::new() } else { format!(" {kind} {name}") };
        session.check(&format!("{package}{name}"), result);
    }
    Ok(())
}

/// cargo's words for the products.
fn words(session: &Session<'_>, products: &[Product]) -> Vec<String> {
    let mut words = Vec::new();
    for (package, kind, name) in products {
        words.extend(["-p".into(), (*package).into()]);
        let packages = session.project.packages();
        if packages.iter().any(|known| *known.name == *package && known.features.contains_key("io")) {
            words.push(format!("--features={package}/io"));
        }
        if *kind != TargetKind::Lib {
            words.push(format!("--{kind}={name}"));
        }
    }
    // cargo takes this one once, for all packages.
    words.extend(products.iter().any(|(_, kind, _)| *kind == TargetKind::Lib).then(|| "--lib".into()));
    words
}

/// What cargo said.
#[derive(Default)]
struct Heard {
    artifacts: Vec<Artifact>,
    /// Errors, and the warnings of this workspace: cargo keeps those of other crates to itself.
    complaints: Vec<CompilerMessage>,
}

impl Heard {
    fn from(output: &str) -> Self {
        let mut heard = Self::default();
        for line in output.lines().filter(|line| line.starts_with('{')) {
            match serde_json::from_str(line) {
                Ok(Message::CompilerArtifact(artifact)) => heard.artifacts.push(artifact),
                Ok(Message::CompilerMessage(message))
                    if matches!(
                        message.message.level,
                        DiagnosticLevel::Error | DiagnosticLevel::Ice | DiagnosticLevel::Warning
                    ) =>
                {
                    heard.complaints.push(message);
                }
                _ => {}
            }
        }
        heard
    }

    /// What came of one product.
    fn judge(&self, product: &Product) -> Result<String, Vec<String>> {
        let complaints: Vec<&CompilerMessage> =
            self.complaints.iter().filter(|message| is(product, &message.target)).collect();
        if !complaints.is_empty() {
            return Err(complaints.into_iter().flat_map(lines).collect());
        }
        let artifact = self.artifacts.iter().find(|artifact| is(product, &artifact.target));
        let artifact =
            artifact.ok_or_else(|| vec!["not built: something that it needs failed".to_owned()])?;
        if product.1 == TargetKind::Lib {
            return Ok("compiled".into());
        }
        let path = artifact.executable.as_ref().ok_or_else(|| vec!["cargo names no program".to_owned()])?;
        let bytes = std::fs::read(path).map_err(|error| vec![format!("{path}: {error}")])?;
        linked(&bytes).map_err(|reason| vec![format!("{path}: {reason}")])
    }

    /// The errors of crates that are no product.
    fn elsewhere(&self, products: &[Product]) -> Vec<String> {
        let complaints = self.complaints.iter();
        complaints
            .filter(|message| !products.iter().any(|product| is(product, &message.target)))
            .flat_map(lines)
            .collect()
    }
}

/// Whether a target that cargo speaks of is the product: a workspace's target names are unique within their kind.
fn is((_, kind, name): &Product, target: &Target) -> bool {
    target.name == *name && target.kind.contains(kind)
}

fn lines(message: &CompilerMessage) -> Vec<String> {
    let text = message.message.rendered.as_deref().unwrap_or(&message.message.message);
    text.lines().map(String::from).collect()
}

/// A program must be for the macOS that we say and need no more than the system has.
fn linked(bytes: &[u8]) -> Result<String, String> {
    let program = macho::program(bytes)?;
    if program.oldest != OLDEST {
        return Err(format!("it is for macOS {} and newer, expected {OLDEST}", program.oldest));
    }
    let foreign = |path: &&String| !path.starts_with("/usr/lib/") && !path.starts_with("/System/");
    if let Some(library) = program.libraries.iter().find(foreign) {
        return Err(format!("it loads {library}, which no macOS has"));
    }
    Ok(format!("linked: Mach-O for x86_64, macOS {OLDEST} and newer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: Product = ("iosmux-xpc", TargetKind::Lib, "iosmux_xpc");
    const TARGET: &str = r#""package_id":"x","manifest_path":"/x/Cargo.toml","target":{"kind":["lib"],"crate_types":["lib"],
        "name":"iosmux_xpc","src_path":"/x/src/lib.rs","edition":"2024","doctest":true,"test":true,"doc":true}"#;

    fn artifact() -> String {
        let profile =
            r#"{"opt_level":"0","debuginfo":0,"debug_assertions":true,"overflow_checks":true,"test":false}"#;
        let text = format!(
            r#"{{"reason":"compiler-artifact",{TARGET},"profile":{profile},"features":[],"filenames":[],"executable":null,"fresh":true}}"#
        );
        text.replace('\n', "")
    }

    fn complaint(level: &str) -> String {
        let message = format!(
            r#"{{"message":"unused","code":null,"level":"{level}","spans":[],"children":[],"rendered":"{level}: unused\n --> a.rs"}}"#
        );
        format!(r#"{{"reason":"compiler-message",{TARGET},"message":{message}}}"#).replace('\n', "")
    }

    #[test]
    fn a_library_without_complaints_passes() {
        let heard = Heard::from(&format!("   Compiling x\n{}\n{}\n", complaint("note"), artifact()));
        assert_eq!(heard.judge(&LIBRARY), Ok("compiled".into()));
    }

    #[test]
    fn a_warning_fails_its_product() {
        let heard = Heard::from(&format!("{}\n{}", complaint("warning"), artifact()));
        assert_eq!(heard.judge(&LIBRARY), Err(vec!["warning: unused".into(), " --> a.rs".into()]));
        assert_eq!(heard.elsewhere(&[LIBRARY]), Vec::<String>::new());
        assert_eq!(heard.elsewhere(&[]).len(), 2);
    }

    #[test]
    fn what_was_not_built_fails() {
        assert!(Heard::from("").judge(&LIBRARY).is_err());
        let other = ("iosmux-xpc", TargetKind::Bin, "iosmux_xpc");
        assert!(Heard::from(&artifact()).judge(&other).is_err());
    }

    #[test]
    fn a_program_for_linux_fails() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(linked(&own).is_err_and(|reason| reason.contains("magic")));
    }
}
