//! Asks the linker for a layout of which little has to be in memory (ADR 7), where it knows how: a program that is linked
//! without is larger, and the same.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The functions of OpenSSL that a tunnel takes, side by side. Only LLVM's linker can do that.
const ORDER: &str = "layout/openssl.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let order = Path::new(&variable("CARGO_MANIFEST_DIR")).join(ORDER);
    let order = format!("-Wl,--no-warn-symbol-ordering,--symbol-ordering-file={}", order.display());
    // A million bytes of relocations as 20 thousand. The C library has to know them: glibc does from 2.36 on.
    for flag in [order.as_str(), "-Wl,-z,pack-relative-relocs"] {
        if works(flag) {
            println!("cargo::rustc-link-arg-bins={flag}");
        }
    }
}

/// Whether a program that is linked like that starts on this machine. One for another machine is left as it is.
fn works(flag: &str) -> bool {
    if variable("TARGET") != variable("HOST") {
        return false;
    }
    link(flag).is_some_and(|program| {
        Command::new(program).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

/// An empty program, linked as the daemon will be.
fn link(flag: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(variable("OUT_DIR"));
    let source = directory.join("empty.rs");
    fs::write(&source, "fn main() {}").ok()?;
    let program = directory.join("empty");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--crate-name=empty", "--edition=2024", "-C"]).arg(format!("link-arg={flag}"));
    rustc.arg("--target").arg(variable("TARGET")).arg("-o").arg(&program).arg(&source);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        rustc.arg(option);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    let linked = rustc.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    linked.success().then_some(program)
}

/// Cargo sets them for every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
