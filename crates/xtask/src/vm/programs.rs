//! Programs of this machine for a guest: without their debug information, with the libraries that they load.

use crate::debs::printed;
use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What goes into one guest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    /// Name in the guest, and the file.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// The loader and the libraries, at the same places in the guest.
    pub(crate) libraries: BTreeSet<PathBuf>,
}

impl Programs {
    /// Takes a program in. `folder` keeps small copies from one run to the next.
    pub(crate) fn add(&mut self, folder: &Path, name: &str, path: &Path) -> Result<()> {
        // Anything that is not dynamic makes ldd fail: it needs no libraries.
        let table = printed(Command::new("ldd").arg(path)).unwrap_or_default();
        self.libraries.extend(libraries(&table));
        self.files.push((name.to_owned(), small(folder, path)?));
        Ok(())
    }
}

/// The paths in what `ldd` prints; the kernel's own library has none.
fn libraries(table: &str) -> Vec<PathBuf> {
    let word = |line: &str| {
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        path.split_whitespace().next().filter(|path| path.starts_with('/')).map(PathBuf::from)
    };
    table.lines().map(str::trim).filter_map(word).collect()
}

/// A copy without debug information, which is nine tenths of a test program; the program itself where binutils are missing.
fn small(folder: &Path, path: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let about = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    // Named by place, so that the next build's copy replaces this one.
    let place = path.as_os_str().as_encoded_bytes();
    let hash: String = Sha256::digest(place).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let copy = folder.join(&hash);
    let built = about.modified().context("this file system keeps no times")?;
    if std::fs::metadata(&copy).and_then(|copy| copy.modified()).is_ok_and(|copied| copied > built) {
        return Ok(copy);
    }
    // Two guests may want it in the same moment.
    let half = folder.join(format!("{hash}.{}.{:?}", std::process::id(), std::thread::current().id()));
    let mut strip = Command::new("objcopy");
    strip.arg("--strip-debug").arg(path).arg(&half).stdout(Stdio::null()).stderr(Stdio::null());
    if !strip.status().is_ok_and(|status| status.success()) {
        return Ok(path.to_owned());
    }
    std::fs::rename(&half, &copy).context("cannot keep a small copy of a program")?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loader_and_libraries_are_found_in_what_ldd_says() {
        let table = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f)\n\
            \tlibgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected =
            ["/lib/x86_64-linux-gnu/libssl.so.3", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(libraries(table), expected);
        assert_eq!(libraries("\tnot a dynamic executable\n"), Vec::<PathBuf>::new());
    }

    #[test]
    fn this_program_has_a_loader() {
        let folder = tempfile::tempdir().unwrap();
        let mut programs = Programs::default();
        let own = std::env::current_exe().unwrap();
        programs.add(folder.path(), "own", &own).unwrap();
        assert!(programs.libraries.iter().any(|path| path.to_string_lossy().contains("ld-")));
        assert!(programs.files[0].1.exists());
    }
}
