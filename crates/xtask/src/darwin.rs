//! What builds for macOS on Linux: Rust's own sources for its standard library, and zig for C and for linking.

use crate::cache::Cache;
use crate::debs::{Debs, printed, quoted, write_script};
use crate::process::Log;
use crate::project::Project;
use crate::python::Python;
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target as rustc calls it.
pub(crate) const TARGET: &str = "x86_64-apple-darwin";
/// The oldest macOS that programs are built for.
pub(crate) const OLDEST: &str = "13.0";
/// The suite whose rust-src is as new as our rustc.
const SUITE: &str = "trixie-backports";
const ZIG: &str = include_str!("../darwin/ziglang.txt");
/// Symbols of frameworks, which zig does not bring.
const FRAMEWORKS: [(&str, &str); 2] = [
    ("CoreFoundation", include_str!("../darwin/CoreFoundation.tbd")),
    ("IOKit", include_str!("../darwin/IOKit.tbd")),
];

/// What a person's shell says about builds for this machine.
const NOT_FOR_MACOS: [&str; 14] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CFLAGS",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "CXXFLAGS",
    "C_INCLUDE_PATH",
    "DEVELOPER_DIR",
    "LDFLAGS",
    "LIBRARY_PATH",
    "OPENSSL_NO_VENDOR",
    "RUSTFLAGS",
    "SOURCE_DATE_EPOCH",
];

/// A way to build for macOS.
pub(crate) struct Darwin {
    /// The standard library's sources: the folder with `std` and its Cargo.lock.
    library: PathBuf,
    /// zig's folder of macOS headers and symbols.
    sdk: PathBuf,
    /// Our own folder: the compiler's scripts and what is built.
    folder: PathBuf,
}

impl Darwin {
    /// Fetches what is missing.
    pub(crate) fn provide(log: &mut Log) -> Result<Self> {
        let cache = Cache::find()?;
        let rustc = Rustc::ask()?;
        let library = rustc.library(&cache, log).context("the sources of Rust's standard library")?;
        let python = Python::provide(&cache, log).context("Python 3.13")?;
        let venv = python.venv(&cache, log, "ziglang", ZIG).context("zig")?;
        let zig = zig(&venv)?;
        let sdk = zig.with_file_name("lib/libc/darwin");
        ensure!(sdk.join("libSystem.tbd").exists(), "zig has no {}", sdk.join("libSystem.tbd").display());
        let spec = format!("{} {} {} {}", rustc.about, library.display(), zig.display(), compiler("", ""));
        let folder = cache.entry("darwin", &spec, |folder| write_tools(folder, &zig))?;
        // Each time, and no part of the hash: another symbol is no reason to build everything anew.
        write_frameworks(&folder)?;
        Ok(Self { library, sdk, folder })
    }

    /// Variables with which `cargo build -Zbuild-std=std,panic_abort --target x86_64-apple-darwin` works.
    pub(crate) fn environment(&self) -> Result<Vec<(String, String)>> {
        let text =
            |path: PathBuf| path.into_os_string().into_string().ok().context("the cache's path is not UTF-8");
        let bin = self.folder.join("bin");
        let mut variables = vec![
            // rustc and cargo are stable ones: -Zbuild-std wants more.
            ("RUSTC_BOOTSTRAP".into(), "1".into()),
            // Where cargo looks instead of the toolchain's own folder, which is not ours to write to.
            ("__CARGO_TESTS_ONLY_SRC_ROOT".into(), text(self.library.clone())?),
            ("CARGO_TARGET_DIR".into(), text(self.folder.join("target"))?),
            ("CARGO_INCREMENTAL".into(), "0".into()),
            ("CARGO_PROFILE_DEV_DEBUG".into(), "0".into()),
            ("MACOSX_DEPLOYMENT_TARGET".into(), OLDEST.into()),
            ("SDKROOT".into(), text(self.sdk.clone())?),
        ];
        for (variable, tool) in [("CC", "cc"), ("AR", "ar"), ("RANLIB", "ranlib")] {
            variables.push((format!("{variable}_{}", TARGET.replace('-', "_")), text(bin.join(tool))?));
        }
        let linker = format!("CARGO_TARGET_{}_LINKER", TARGET.replace('-', "_").to_uppercase());
        variables.push((linker, text(bin.join("cc"))?));
        Ok(variables)
    }

    /// A `cargo build` of the workspace's libraries and programs for macOS; the caller says which.
    pub(crate) fn cargo_build(&self, project: &Project) -> Result<Command> {
        let mut command = project.cargo();
        for name in NOT_FOR_MACOS {
            command.env_remove(name);
        }
        command.envs(self.environment()?);
        command.args([
            "build",
            "-Zbuild-std=std,panic_abort",
            "--target",
            TARGET,
            "--locked",
            "--keep-going",
        ]);
        Ok(command)
    }
}

/// The compiler that cargo will use.
struct Rustc {
    program: PathBuf,
    /// All that it says about itself.
    about: String,
    /// Such as `1.95.0`.
    release: String,
}

impl Rustc {
    fn ask() -> Result<Self> {
        let program = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
        let about = printed(Command::new(&program).arg("-vV"))?;
        let release = about.lines().find_map(|line| line.strip_prefix("release: "));
        let release = release.context("rustc -vV names no release")?.to_owned();
        Ok(Self { program, about, release })
    }

    /// The library's sources of exactly this release: beside the compiler, else from Debian.
    fn library(&self, cache: &Cache, log: &mut Log) -> Result<PathBuf> {
        let sysroot = PathBuf::from(printed(Command::new(&self.program).args(["--print", "sysroot"]))?);
        let own = sysroot.join("lib/rustlib/src/rust/library");
        if own.join("Cargo.lock").exists() {
            return Ok(own);
        }
        let place = format!("usr/src/rustc-{}/library", self.release);
        let package = format!("rust-src={}", self.release);
        let root = Debs::files(cache, log, "rust-src", (SUITE, &[&package]), |root| {
            let lock = root.join(&place).join("Cargo.lock");
            ensure!(lock.exists(), "rust-src holds no {place}/Cargo.lock for rustc {}", self.release);
            // The compiler's own sources are five times as many.
            remove_beside(&root.join(&place))
        });
        let root = root.with_context(|| {
            format!(
                "rustc is {}: its own sources are needed (with rustup: `rustup component add rust-src`)",
                self.release
            )
        })?;
        Ok(root.join(place))
    }
}

fn remove_beside(kept: &Path) -> Result<()> {
    for entry in std::fs::read_dir(kept.parent().context("the sources have no folder")?)? {
        let path = entry?.path();
        if path.is_symlink() || path.is_file() {
            std::fs::remove_file(&path)?;
        } else if path != kept {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// zig's program in a venv with the interpreter `python`.
fn zig(python: &Path) -> Result<PathBuf> {
    let ask = "import importlib.util as u; print(u.find_spec('ziglang').submodule_search_locations[0])";
    let folder = printed(Command::new(python).args(["-I", "-c", ask]))?;
    Ok(Path::new(&folder).join("zig"))
}

/// In our folder.
const FRAMEWORKS_FOLDER: &str = "frameworks";

fn write_frameworks(folder: &Path) -> Result<()> {
    for (name, symbols) in FRAMEWORKS {
        let framework = folder.join(FRAMEWORKS_FOLDER).join(format!("{name}.framework"));
        std::fs::create_dir_all(&framework)?;
        std::fs::write(framework.join(format!("{name}.tbd")), symbols)?;
    }
    Ok(())
}

fn write_tools(folder: &Path, zig: &Path) -> Result<()> {
    let (bin, cache) = (folder.join("bin"), folder.join("zig"));
    std::fs::create_dir_all(&bin)?;
    std::fs::create_dir_all(&cache)?;
    let zig = format!(
        "export ZIG_GLOBAL_CACHE_DIR={cache} ZIG_LOCAL_CACHE_DIR={cache}\nexec {}",
        quoted(zig)?,
        cache = quoted(&cache)?
    );
    write_script(&bin.join("cc"), &compiler(&zig, &quoted(&folder.join(FRAMEWORKS_FOLDER))?))?;
    for tool in ["ar", "ranlib"] {
        write_script(&bin.join(tool), &format!("#!/bin/sh\n{zig} {tool} \"$@\"\n"))?;
    }
    Ok(())
}

/// The C compiler and linker, without words that clang knows and zig does not.
///
/// zig has its own spelling for the target and the oldest system, and no libiconv: nothing of ours uses it, and a program
/// that did would not link.
fn compiler(zig: &str, frameworks: &str) -> String {
    format!(
        r#"#!/bin/sh
for word do
    shift
    case "$word" in
    --target=* | -mmacosx-version-min=* | -gfull | -m64 | -liconv) ;;
    *) set -- "$@" "$word" ;;
    esac
done
{zig} cc -target x86_64-macos.{OLDEST} -F {frameworks} "$@"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the compiler's script starts when it is called with `words`.
    fn passed_on(words: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("cc");
        write_script(&script, &compiler("echo", "'/a f'")).unwrap();
        printed(Command::new(&script).args(words)).unwrap()
    }

    #[test]
    fn the_compiler_drops_words_that_zig_does_not_know() {
        let words = ["-c", "--target=x86_64-apple-macosx", "-gfull", "-m64", "a b.c", "-o", "x.o", "-liconv"];
        assert_eq!(passed_on(&words), "cc -target x86_64-macos.13.0 -F /a f -c a b.c -o x.o");
        assert_eq!(passed_on(&["-lSystem", "-arch", "x86_64"]).matches("-arch x86_64").count(), 1);
        assert_eq!(passed_on(&[]), "cc -target x86_64-macos.13.0 -F /a f");
    }

    #[test]
    fn scripts_survive_a_folder_with_a_quote() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("it's a cache");
        write_tools(&odd, Path::new("/bin/echo")).unwrap();
        assert_eq!(printed(Command::new(odd.join("bin/ar")).arg("x")).unwrap(), "ar x");
        assert!(odd.join("zig").is_dir());
    }
}
