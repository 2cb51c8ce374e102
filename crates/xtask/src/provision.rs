//! What tiers need, put into $IOSMUX_CACHE, and the environment that names it: independent clients above all.

use crate::cache::Cache;
use crate::darwin::Darwin;
use crate::debs::{Debs, write_script};
use crate::npm::Wanted;
use crate::out;
use crate::process::Log;
use crate::project::Project;
use crate::python::Python;
use crate::tier::Tier;
use crate::vm::Machine;
use crate::vm::guest::Guest;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

/// Version of pymobiledevice3 in peers/pymobiledevice3.txt.
const PYMOBILEDEVICE3: &str = include_str!("../peers/pymobiledevice3.txt");
const GO_IOS: Wanted = Wanted {
    package: "go-ios",
    version: "1.2.0",
    integrity: "sha512-ti0ID4xF1uhFmPF/ux8tS658oYA2LPyzsDzxvwoS/iiYmnSNaMaAYCco49zSC+HlvHFTJrQa0pQzzyfwtePHbg==",
};

/// Provisions a tier and prints its environment, everything else going to stderr.
pub(crate) fn print(project: &Project, tier: Tier) -> Result<()> {
    let mut log = Log::create(project, &format!("provision-{}", tier.name()))?.aside();
    let variables = match tier {
        Tier::Net => net(&mut log)?,
        Tier::Peers => peers(&mut log)?,
        Tier::Darwin => Darwin::provide(&mut log)?.environment()?,
        Tier::Vm => Machine::provide(&mut log, &Guest::ALL)?.environment(),
        Tier::Lint | Tier::Unit => Vec::new(),
    };
    for (name, value) in variables {
        out::line(format!("{name}={value}"));
    }
    Ok(())
}

/// What the net tier needs: a library that gives one program another wall clock.
pub(crate) fn net(log: &mut Log) -> Result<Vec<(String, String)>> {
    const LIBRARY: &str = "faketime/libfaketime.so.1";
    // An old suite's: loaded into programs of this machine, it must not want a newer libc than theirs.
    let packages = ("bookworm", ["libfaketime"].as_slice());
    let root = Debs::files(&Cache::find()?, log, "faketime", packages, |_| Ok(())).context("libfaketime")?;
    let folders = std::fs::read_dir(root.join("usr/lib")).context("libfaketime holds no library")?;
    let libraries = folders.map(|folder| Ok(folder?.path().join(LIBRARY))).collect::<Result<Vec<_>>>()?;
    let found = libraries.into_iter().find(|path| path.exists());
    let path = found.with_context(|| format!("libfaketime holds no {LIBRARY}"))?;
    let path = path.into_os_string().into_string().ok().context("the cache's path is not UTF-8")?;
    Ok(vec![("IOSMUX_FAKETIME".into(), path)])
}

/// What the peers tier needs: a Python with pymobiledevice3, go-ios' binary, a folder with avahi.
pub(crate) fn peers(log: &mut Log) -> Result<Vec<(String, String)>> {
    let cache = Cache::find()?;
    let (python, interpreter) = pymobiledevice3(&cache, log)?;
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("go-ios has no binary for {other}"),
    };
    let file = format!("dist/go-ios-linux-{machine}_linux_{machine}/ios");
    let go_ios = GO_IOS.provide(&cache, log, &python, &file).context("go-ios")?;
    let avahi = avahi(&cache, log).context("avahi")?;
    let text =
        |path: PathBuf| path.into_os_string().into_string().ok().context("the cache's path is not UTF-8");
    Ok(vec![
        ("IOSMUX_PEER_PYTHON".into(), text(interpreter)?),
        ("IOSMUX_PEER_GOIOS".into(), text(go_ios)?),
        ("IOSMUX_PEER_AVAHI".into(), text(avahi)?),
    ])
}

/// A Python, and the interpreter of a venv with pymobiledevice3.
pub(crate) fn pymobiledevice3(cache: &Cache, log: &mut Log) -> Result<(Python, PathBuf)> {
    let python = Python::provide(cache, log).context("Python 3.13")?;
    let interpreter =
        python.venv(cache, log, "pymobiledevice3", PYMOBILEDEVICE3).context("pymobiledevice3")?;
    Ok((python, interpreter))
}

/// A folder with `iosmux-avahi-daemon`, `iosmux-avahi-browse` and `iosmux-dbus-daemon`.
fn avahi(cache: &Cache, log: &mut Log) -> Result<PathBuf> {
    let packages = ["avahi-daemon", "avahi-utils", "dbus-daemon"];
    let programs = [("avahi-daemon", "usr/sbin"), ("avahi-browse", "usr/bin"), ("dbus-daemon", "usr/bin")];
    let debs = Debs::provide(cache, log, "avahi", ("trixie", &packages), |debs, _| {
        for (name, place) in programs {
            let script = debs.root().join("usr/bin").join(format!("iosmux-{name}"));
            write_script(&script, &debs.launcher(&debs.root().join(place).join(name))?)?;
        }
        Ok(())
    })?;
    Ok(debs.root().join("usr/bin"))
}
