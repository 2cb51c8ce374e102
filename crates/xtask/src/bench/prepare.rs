//! The programs of the measurement: built here, or put into $IOSMUX_CACHE.

use super::Tools;
use crate::cache::Cache;
use crate::debs::{Debs, write_script};
use crate::process::Log;
use crate::project::Project;
use crate::provision;
use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20 * 60);
const PACKAGE: &str = "iosmux-tunnel";
const EXAMPLE: &str = "bench_host";

/// Builds and fetches them all.
pub(super) fn tools(project: &Project, log: &mut Log) -> Result<Tools> {
    let cache = Cache::find()?;
    let python = provision::pymobiledevice3(&cache, log)?.1;
    let iperf3 = iperf3(&cache, log).context("iperf3")?;
    let sources = project.root().join("crates/tunnel/bench");
    let built = build(project, log)?;
    let tunend = compile(project, log, &sources.join("tunend.c"), built.openssl.as_deref())?;
    Ok(Tools { ours: built.ours, tunend, iperf3, python, script: sources.join("pymobiledevice3_host.py") })
}

fn iperf3(cache: &Cache, log: &mut Log) -> Result<PathBuf> {
    let script = |debs: &Debs| debs.root().join("usr/bin/iosmux-iperf3");
    let debs = Debs::provide(cache, log, "iperf3", ("trixie", &["iperf3"]), |debs, _| {
        write_script(&script(debs), &debs.launcher(&debs.root().join("usr/bin/iperf3"))?)
    })?;
    Ok(script(&debs))
}

/// What cargo said about one build.
#[derive(Debug, Default, PartialEq)]
struct Built {
    ours: PathBuf,
    /// Where the vendored OpenSSL's libraries are; none when the system's are taken.
    openssl: Option<PathBuf>,
}

fn build(project: &Project, log: &mut Log) -> Result<Built> {
    let mut command = project.cargo();
    command.args(["build", "--release", "--locked", "-p", PACKAGE, "--example", EXAMPLE]);
    command.arg("--message-format=json-render-diagnostics");
    run(log, "release build of our host end", &mut command)
        .and_then(|output| read_build(&output).context("cargo named no program"))
}

fn read_build(output: &str) -> Option<Built> {
    let mut built = Built::default();
    for line in output.lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line) {
            Ok(Message::CompilerArtifact(artifact)) if artifact.target.name == EXAMPLE => {
                built.ours = artifact.executable?.into();
            }
            Ok(Message::BuildScriptExecuted(script)) if script.package_id.repr.contains("openssl-sys") => {
                let native = |path: &str| path.strip_prefix("native=").map(PathBuf::from);
                built.openssl = script.linked_paths.iter().find_map(|path| native(path.as_str()));
            }
            _ => {}
        }
    }
    (built.ours != PathBuf::new()).then_some(built)
}

/// The C helper, with the OpenSSL that our end has: what is compared are the relays.
fn compile(project: &Project, log: &mut Log, source: &Path, openssl: Option<&Path>) -> Result<PathBuf> {
    let program = project.work_dir().join("tunend");
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&program);
    if let Some(libraries) = openssl {
        command.arg("-I").arg(libraries.with_file_name("include"));
        command.arg(source).arg("-L").arg(libraries).args(["-l:libssl.a", "-l:libcrypto.a"]);
        command.args(["-lpthread", "-ldl"]);
    } else {
        command.arg(source).args(["-lssl", "-lcrypto"]);
    }
    run(log, "cc tunend.c", &mut command)?;
    Ok(program)
}

fn run(log: &mut Log, what: &str, command: &mut Command) -> Result<String> {
    let done = log.run(what, command, DEADLINE)?;
    if !done.success() {
        log.show_failure(what, &done.output);
        bail!("{what}: {}", done.ending());
    }
    Ok(done.output)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = r#"{"reason":"build-script-executed","package_id":"registry+https://x#openssl-sys@0.9.118",
        "linked_libs":[],"linked_paths":["native=/t/install/lib"],"cfgs":[],"env":[],"out_dir":"/t"}"#;
    const ARTIFACT: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///w#iosmux-tunnel@0.1.0",
        "manifest_path":"/w/Cargo.toml","target":{"kind":["example"],"crate_types":["bin"],"name":"bench_host",
        "src_path":"/w/b.rs","edition":"2024","doctest":false,"test":false,"doc":false},"profile":{"opt_level":"3",
        "debuginfo":1,"debug_assertions":false,"overflow_checks":false,"test":false},"features":[],"filenames":[],
        "executable":"/t/bench_host","fresh":true}"#;

    #[test]
    fn the_program_and_its_openssl_are_found() {
        let output = format!("{}\nwarning: x\n{}\n", SCRIPT.replace('\n', " "), ARTIFACT.replace('\n', " "));
        let expected = Built { ours: "/t/bench_host".into(), openssl: Some("/t/install/lib".into()) };
        assert_eq!(read_build(&output), Some(expected));
        assert_eq!(read_build(&SCRIPT.replace('\n', " ")), None);
    }
}
