//! $IOSMUX_CACHE: what tiers need, made once, never installed into the system.

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder that holds everything that is fetched or built for tests.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$IOSMUX_CACHE`, else `iosmux` in the XDG cache folder.
    pub(crate) fn find() -> Result<Self> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = variable("IOSMUX_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|path| path.join("iosmux")))
            .or_else(|| variable("HOME").map(|path| path.join(".cache/iosmux")))
            .context("set IOSMUX_CACHE: there is neither XDG_CACHE_HOME nor HOME")?;
        std::fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let root = root.canonicalize().context("cannot resolve the cache folder")?;
        Ok(Self { root })
    }

    /// The folder of `name` made from `spec`: the one that is there, else what `make` fills at its final place.
    ///
    /// A marker is written last and a lock is held meanwhile, so that neither a crash nor a second call in the same
    /// moment leaves half a folder. Folders are filled in place because programs remember where they were installed.
    pub(crate) fn entry(
        &self,
        name: &str,
        spec: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let hash: String = Sha256::digest(spec).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let folder = self.root.join(format!("{name}-{hash}"));
        let done = self.root.join(format!("{name}-{hash}.done"));
        let lock = self.root.join(format!("{name}-{hash}.lock"));
        let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        lock.lock().context("cannot lock the cache")?;
        if done.exists() && folder.exists() {
            return Ok(folder);
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        make(&folder)?;
        std::fs::write(&done, spec).with_context(|| format!("cannot write {}", done.display()))?;
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { root: folder.path().to_owned() };
        (folder, cache)
    }

    #[test]
    fn a_folder_is_made_once_per_spec() {
        let (_folder, cache) = cache();
        let first = cache.entry("a", "1", |path| Ok(std::fs::write(path.join("x"), "1")?)).unwrap();
        let again = cache.entry("a", "1", |_| panic!("made twice")).unwrap();
        let other = cache.entry("a", "2", |_| Ok(())).unwrap();
        assert!(first == again && first != other && first.join("x").exists());
    }

    #[test]
    fn half_a_folder_is_made_anew() {
        let (_folder, cache) = cache();
        let fails = cache.entry("a", "1", |path| {
            std::fs::write(path.join("half"), "")?;
            anyhow::bail!("the network went away")
        });
        assert!(fails.is_err());
        let folder = cache.entry("a", "1", |_| Ok(())).unwrap();
        assert!(!folder.join("half").exists());
    }

    #[test]
    fn two_at_once_make_it_once() {
        let (_folder, cache) = cache();
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let make = |_: &Path| {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        Ok(())
                    };
                    cache.entry("a", "1", make).unwrap();
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
