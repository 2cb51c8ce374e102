//! Programs of a Debian suite, unpacked into the cache and run through their own loader: the system stays as it is.

use crate::cache::Cache;
use crate::process::Log;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20 * 60);
/// Part of each spec: raised when the way of unpacking changes.
const LAYOUT: u32 = 3;
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Packages of one suite with everything that they depend on.
pub(crate) struct Debs {
    root: PathBuf,
    loader: PathBuf,
}

impl Debs {
    /// Fetches `packages` and what they depend on from `suite`, on the mirror that this machine's apt already uses.
    ///
    /// A package written `NAME=VERSION` is taken in exactly that upstream version, whatever Debian's revision of it.
    /// `finish` completes the folder, once.
    pub(crate) fn provide(
        cache: &Cache,
        log: &mut Log,
        name: &str,
        (suite, packages): (&str, &[&str]),
        finish: impl FnOnce(&Self, &mut Log) -> Result<()>,
    ) -> Result<Self> {
        let spec = format!("{suite} {packages:?} {LAYOUT}");
        let folder = cache.entry(name, &spec, |folder| {
            unpacked(log, folder, suite, packages)?;
            finish(&Self::at(folder)?, log)
        })?;
        Self::at(&folder)
    }

    /// The same for packages without programs: the folder that stands for `/`.
    pub(crate) fn files(
        cache: &Cache,
        log: &mut Log,
        name: &str,
        (suite, packages): (&str, &[&str]),
        finish: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let spec = format!("{suite} {packages:?} {LAYOUT}");
        let folder = cache.entry(name, &spec, |folder| {
            unpacked(log, folder, suite, packages)?;
            finish(&folder.join("root"))
        })?;
        Ok(folder.join("root"))
    }

    /// The one package that a metapackage of `suite` stands for, without what it depends on: a kernel.
    pub(crate) fn stood_for(
        cache: &Cache,
        log: &mut Log,
        name: &str,
        (suite, metapackage): (&str, &str),
        (way, finish): (&str, impl FnOnce(&Path, &mut Log) -> Result<()>),
    ) -> Result<PathBuf> {
        let spec = format!("{suite} {metapackage} {way} {LAYOUT}");
        let folder = cache.entry(name, &spec, |folder| {
            let mirror = usable_mirror(metapackage, suite)?;
            log.say(&format!("{metapackage} from Debian's {suite}"));
            lists(log, folder, suite, &mirror)?;
            let table = printed(&mut apt("apt-cache", folder, &["depends", metapackage]))?;
            let package = first_dependency(&table).with_context(|| format!("{metapackage}, {suite}"))?;
            let mut download = apt("apt-get", folder, &["download", package]);
            run(log, "apt-get download", download.current_dir(folder.join("cache/archives")))?;
            unpack(log, folder)?;
            finish(&folder.join("root"), log)
        })?;
        Ok(folder.join("root"))
    }

    fn at(folder: &Path) -> Result<Self> {
        let root = folder.join("root");
        let loader = find_loader(&root)?;
        Ok(Self { root, loader })
    }

    /// The folder that stands for `/`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A shell script that runs `program` with the suite's own libraries.
    ///
    /// Its name is what the program sees as its own, so that a program that starts itself again gets the script.
    pub(crate) fn launcher(&self, program: &Path) -> Result<String> {
        let libraries = self.loader.parent().context("the loader has no folder")?;
        let (loader, libraries) = (quoted(&self.loader)?, quoted(libraries)?);
        let program = quoted(program)?;
        Ok(format!("#!/bin/sh\nexec {loader} --argv0 \"$0\" --library-path {libraries} {program} \"$@\"\n"))
    }
}

fn unpacked(log: &mut Log, folder: &Path, suite: &str, packages: &[&str]) -> Result<()> {
    let mirror = usable_mirror(&packages.join(", "), suite)?;
    log.say(&format!("{} from Debian's {suite}", packages.join(", ")));
    fetch(log, folder, suite, &mirror, packages)?;
    unpack(log, folder)
}

/// The mirror that this machine's apt uses, if it has what unpacking takes.
fn usable_mirror(what: &str, suite: &str) -> Result<String> {
    for tool in ["apt-get", "dpkg-deb"] {
        let there = Command::new(tool).arg("--version").output().is_ok();
        ensure!(there, "{tool} is not there: {what} come from Debian's {suite}");
    }
    let uris = printed(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    mirror(&uris).context("apt has no Debian mirror configured (apt-get indextargets)")
}

/// Writes an executable script.
pub(crate) fn write_script(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .context("cannot make a script executable")
}

/// A path in single quotes for `sh`.
pub(crate) fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().context("the cache folder's path is not UTF-8")?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// What a command prints; an error with what it said when it fails.
pub(crate) fn printed(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first configured repository that is Debian's main archive, not its security archive.
fn mirror(uris: &str) -> Option<String> {
    uris.lines().map(str::trim).find(|uri| uri.trim_end_matches('/').ends_with("/debian")).map(String::from)
}

/// The first package that `apt-cache depends` names, indented, below the package itself.
fn first_dependency(table: &str) -> Result<&str> {
    let mut found = table.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    found.find(|name| !name.starts_with('<')).context("the metapackage depends on nothing")
}

/// Fetches the suite's lists of packages into `folder`.
fn lists(log: &mut Log, folder: &Path, suite: &str, mirror: &str) -> Result<()> {
    for name in ["state/lists/partial", "cache/archives/partial", "parts"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    let signed = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    std::fs::write(folder.join("sources.list"), format!("deb {signed}{mirror} {suite} main\n"))?;
    std::fs::write(folder.join("state/status"), "")?;
    std::fs::write(
        folder.join("apt.conf"),
        configuration(folder, &printed(Command::new("apt-config").arg("dump"))?)?,
    )?;
    let mut update = apt("apt-get", folder, &["update"]);
    run(log, "apt-get update", &mut update)
}

fn fetch(log: &mut Log, folder: &Path, suite: &str, mirror: &str, packages: &[&str]) -> Result<()> {
    lists(log, folder, suite, mirror)?;
    let mut install =
        apt("apt-get", folder, &["install", "--download-only", "--no-install-recommends", "-y"]);
    for package in packages {
        install.arg(match package.split_once('=') {
            Some((name, upstream)) => {
                let table = printed(&mut apt("apt-cache", folder, &["madison", name]))?;
                format!(
                    "{name}={}",
                    revision(&table, upstream).with_context(|| format!("{package}, {suite}"))?
                )
            }
            None => (*package).to_owned(),
        });
    }
    run(log, "apt-get install --download-only", &mut install)
}

/// The newest of Debian's versions in `apt-cache madison`'s table that is of this upstream version.
fn revision<'a>(table: &'a str, upstream: &str) -> Result<&'a str> {
    let versions: Vec<&str> =
        table.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    let same = |version: &&str| {
        version
            .strip_prefix(upstream)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-', '~']))
    };
    let found = versions.iter().copied().find(same);
    found.with_context(|| format!("{upstream} is needed and only {} is there", versions.join(", ")))
}

/// apt as the machine has it (proxies, timeouts, certificates), but with every folder below `folder` and no hooks.
fn configuration(folder: &Path, machine: &str) -> Result<String> {
    let at = folder.to_str().context("the cache folder's path is not UTF-8")?;
    let mut text = String::new();
    for line in
        machine.lines().filter(|line| line.starts_with("Acquire::") || line.starts_with("APT::Architecture"))
    {
        text.push_str(line);
        text.push('\n');
    }
    for (key, value) in [
        ("Dir::State", "state"),
        ("Dir::State::status", "state/status"),
        ("Dir::Cache", "cache"),
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::Etc::sourceparts", "parts"),
        ("Dir::Etc::preferences", "parts/preferences"),
        ("Dir::Etc::preferencesparts", "parts"),
    ] {
        text.push_str(&format!("{key} \"{at}/{value}\";\n"));
    }
    // Not the _apt user, who can't read a cache in somebody's home; and no lock of the system's.
    text.push_str(
        "APT::Sandbox::User \"\";\nDebug::NoLocking \"1\";\nAPT::Get::AllowUnauthenticated \"0\";\n",
    );
    for what in ["DEP-11", "DEP-11-icons", "DEP-11-icons-small", "DEP-11-icons-hidpi", "CNF"] {
        text.push_str(&format!("Acquire::IndexTargets::deb::{what}::DefaultEnabled \"false\";\n"));
    }
    text.push_str("Acquire::Languages \"none\";\n");
    Ok(text)
}

fn apt(program: &str, folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    // APT_CONFIG is read first; the machine's parts, with their hooks, are not read at all.
    command
        .env("APT_CONFIG", folder.join("apt.conf"))
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command.arg("-o").arg(format!("Dir::Etc::parts={}", folder.join("parts").display()));
    command.arg("-o").arg("Dir::Etc::main=none").args(words);
    command
}

fn unpack(log: &mut Log, folder: &Path) -> Result<()> {
    let root = folder.join("root");
    std::fs::create_dir_all(&root)?;
    let archives = folder.join("cache/archives");
    let mut found = 0;
    for entry in std::fs::read_dir(&archives).context("apt left no archives")? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            run(log, "dpkg-deb", Command::new("dpkg-deb").arg("-x").arg(&path).arg(&root))?;
            found += 1;
        }
    }
    ensure!(found > 0, "apt downloaded nothing");
    for name in ["cache", "state", "parts"] {
        std::fs::remove_dir_all(folder.join(name))?;
    }
    Ok(())
}

fn run(log: &mut Log, what: &str, command: &mut Command) -> Result<()> {
    let done = log.run(what, command, DEADLINE)?;
    if !done.success() {
        log.show_failure(what, &done.output);
        bail!("{what}: {}", done.ending());
    }
    Ok(())
}

/// The suite's own `ld-linux`, beside its libc.
fn find_loader(root: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(root.join("usr/lib")).context("the packages hold no libraries")? {
        let folder = entry?.path();
        let Ok(files) = std::fs::read_dir(&folder) else { continue };
        for file in files {
            let path = file?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")) {
                return Ok(path);
            }
        }
    }
    bail!("the packages in {} hold no loader", root.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_the_mirror() {
        let uris =
            "http://one.example/debian-security/\nhttp://one.example/debian/\nhttp://two.example/debian";
        assert_eq!(mirror(uris).as_deref(), Some("http://one.example/debian/"));
        assert_eq!(mirror("http://one.example/debian-security"), None);
    }

    #[test]
    fn hooks_of_the_machine_are_not_taken_over() {
        let machine = "Acquire::http::Proxy \"http://p:1\";\nAPT::Update::Post-Invoke:: \"rm -rf x\";\n";
        let text = configuration(Path::new("/c"), machine).unwrap();
        assert!(
            text.contains("Proxy") && !text.contains("rm -rf") && text.contains("Dir::State \"/c/state\";")
        );
    }

    #[test]
    fn an_upstream_version_is_met_exactly() {
        let table = " rust-src | 1.96.1+dfsg1-2~bpo13+1 | http://one.example/debian trixie-backports/main amd64 Packages\n\
                     \x20rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://one.example/debian trixie-backports/main amd64 Packages\n";
        assert_eq!(revision(table, "1.95.0").unwrap(), "1.95.0+dfsg1-2~bpo13+1");
        let wrong = revision(table, "1.95").unwrap_err().to_string();
        assert_eq!(wrong, "1.95 is needed and only 1.96.1+dfsg1-2~bpo13+1, 1.95.0+dfsg1-2~bpo13+1 is there");
        assert!(revision("", "1.95.0").is_err());
    }

    #[test]
    fn a_metapackage_names_what_it_stands_for() {
        let table = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n  Suggests: fdutils\n";
        assert_eq!(first_dependency(table).unwrap(), "linux-image-6.1.0-56-amd64");
        assert!(first_dependency("linux-image-amd64\n").is_err());
    }

    #[test]
    fn quotes_survive() {
        assert_eq!(quoted(Path::new("/a b/it's")).unwrap(), r"'/a b/it'\''s'");
    }
}
