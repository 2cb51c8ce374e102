//! What a guest starts from: an archive with busybox, modules, programs of this machine, and a script that runs the tests.

use crate::vm::cpio::Archive;
use crate::vm::kernel::Kernel;
use crate::vm::programs::Programs;
use crate::vm::tools::Tools;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Where the programs are in the guest.
pub(crate) const BIN: &str = "/iosmux/bin";
/// The line that follows the tests: their exit status comes behind it.
pub(crate) const STATUS: &str = "iosmux-vm: status ";

/// One test program with all that it wants.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// The test program first, then those that it starts.
    pub(crate) programs: Programs,
    /// The package's folder: its tests/ is in the guest at the same place, for fixtures and snapshots.
    pub(crate) folder: std::path::PathBuf,
    /// Name and value.
    pub(crate) environment: Vec<(String, String)>,
    /// What the test program is told.
    pub(crate) words: Vec<String>,
}

/// Writes a busybox guest.
pub(crate) fn busybox(tools: &Tools, kernel: &Kernel, payload: &Payload, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    archive.file("init", 0o755, include_bytes!("../../vm/init.sh"))?;
    archive.copy("bin/busybox", &tools.busybox())?;
    archive.link("bin/sh", "busybox")?;
    archive.file("etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")?;
    archive.file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n::1 localhost\n")?;
    archive.tree("lib/modules", &kernel.tree)?;
    let order: String = kernel.order.iter().map(|name| format!("/lib/modules/{name}\n")).collect();
    archive.file("iosmux/modules", 0o644, order.as_bytes())?;
    for library in &payload.programs.libraries {
        archive.copy(library.to_str().context("a library's path is not UTF-8")?, library)?;
    }
    put(&mut archive, payload)?;
    archive.end()
}

/// The programs, the package's tests folder and the script.
pub(crate) fn put<W: std::io::Write>(archive: &mut Archive<W>, payload: &Payload) -> Result<()> {
    for (name, path) in &payload.programs.files {
        archive.copy(&format!("{BIN}/{name}"), path)?;
    }
    let folder = payload.folder.to_str().context("a package's path is not UTF-8")?;
    archive.folder(folder)?;
    let tests = payload.folder.join("tests");
    if tests.is_dir() {
        archive.folder(&format!("{folder}/tests"))?;
        archive.tree(&format!("{folder}/tests"), &tests)?;
    }
    archive.file("iosmux/run", 0o755, script(payload)?.as_bytes())
}

/// Runs the test program on the second serial line, as it is run on the host.
fn script(payload: &Payload) -> Result<String> {
    let (test, _) = payload.programs.files.first().context("no test program")?;
    let mut text =
        String::from("#!/bin/sh\nstty -F /dev/ttyS1 raw -echo\nexec </dev/null >/dev/ttyS1 2>&1\n");
    for (name, value) in &payload.environment {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    text.push_str(&format!("cd {} || exit\n", quoted(&payload.folder.to_string_lossy())));
    text.push_str(&format!("{BIN}/{test}"));
    for word in &payload.words {
        text.push_str(&format!(" {}", quoted(word)));
    }
    text.push_str(&format!("\necho \"{STATUS}$?\"\n"));
    Ok(text)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_quotes_what_it_is_given() {
        let programs = Programs { files: vec![("vm_usb".into(), "/x".into())], ..Programs::default() };
        let environment = vec![("A".into(), "it's".into())];
        let words = vec!["--exact".into(), "$(x)".into()];
        let text = script(&Payload { programs, folder: "/p".into(), environment, words }).unwrap();
        assert!(text.contains("export A='it'\\''s'\n"), "{text}");
        assert!(text.contains(
            "cd '/p' || exit\n/iosmux/bin/vm_usb '--exact' '$(x)'\necho \"iosmux-vm: status $?\"\n"
        ));
    }
}
