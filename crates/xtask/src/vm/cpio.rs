//! Writes a cpio archive in the kernel's format (newc): Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive under way. Folders come into being with what is in them.
pub(crate) struct Archive<W> {
    to: W,
    folders: BTreeSet<String>,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// An empty archive that is written to `to`.
    pub(crate) fn new(to: W) -> Self {
        Self { to, folders: BTreeSet::new(), inode: 0 }
    }

    /// Adds a folder, and those above it, with the mode 0755 unless they are there.
    pub(crate) fn folder(&mut self, name: &str) -> Result<()> {
        self.folder_as(name, 0o755)
    }

    /// Adds a folder with a mode of its own.
    pub(crate) fn folder_as(&mut self, name: &str, mode: u32) -> Result<()> {
        let name = name.trim_matches('/');
        if name.is_empty() || !self.folders.insert(name.to_owned()) {
            return Ok(());
        }
        self.parents(name)?;
        self.entry(name, FOLDER | mode, &[])
    }

    /// Adds a file with these bytes.
    pub(crate) fn file(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.parents(name)?;
        self.entry(name, FILE | mode, bytes)
    }

    /// Adds a copy of a file of this machine, with its mode.
    pub(crate) fn copy(&mut self, name: &str, from: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(from).with_context(|| format!("cannot read {}", from.display()))?;
        let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(name, mode.permissions().mode() & 0o7777, &bytes)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, name: &str, target: &str) -> Result<()> {
        self.parents(name)?;
        self.entry(name, LINK | 0o777, target.as_bytes())
    }

    /// Adds everything below `from`, links as links.
    pub(crate) fn tree(&mut self, name: &str, from: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut entries: Vec<_> = std::fs::read_dir(from)
            .with_context(|| format!("cannot read {}", from.display()))?
            .collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let file = entry.file_name().into_string().ok().context("a file's name is not UTF-8")?;
            let (path, inner) = (entry.path(), format!("{}/{file}", name.trim_matches('/')));
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                let target = std::fs::read_link(&path)?;
                self.link(&inner, target.to_str().context("a link's target is not UTF-8")?)?;
            } else if kind.is_dir() {
                self.folder_as(&inner, entry.metadata()?.permissions().mode() & 0o7777)?;
                self.tree(&inner, &path)?;
            } else if kind.is_file() {
                self.copy(&inner, &path)?;
            }
        }
        Ok(())
    }

    /// Ends the archive.
    pub(crate) fn end(mut self) -> Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.to.flush().context("cannot write the archive")
    }

    fn parents(&mut self, name: &str) -> Result<()> {
        match name.trim_matches('/').rsplit_once('/') {
            Some((above, _)) => self.folder(above),
            None => Ok(()),
        }
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let name = name.trim_start_matches('/');
        self.inode += 1;
        let links = if mode & FOLDER != 0 && mode & FILE != FILE { 2 } else { 1 };
        let size = u32::try_from(bytes.len()).context("a file is too large for the archive")?;
        let name_size = u32::try_from(name.len() + 1).context("a name is too long for the archive")?;
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        let mut head = String::from("070701");
        for field in fields {
            head.push_str(&format!("{field:08X}"));
        }
        head.push_str(name);
        head.push('\0');
        self.padded(head.as_bytes())?;
        self.padded(bytes)
    }

    fn padded(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).context("cannot write the archive")?;
        let rest = bytes.len().next_multiple_of(4) - bytes.len();
        self.to.write_all(&[0; 3][..rest]).context("cannot write the archive")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_first_and_once_and_all_is_aligned() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.file("/a/b/one", 0o644, b"12345").unwrap();
        archive.link("a/two", "b/one").unwrap();
        archive.end().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let heads: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(heads.len(), 5);
        assert!(heads.iter().all(|at| at % 4 == 0));
        let places =
            ["a\0", "a/b\0", "a/b/one\0", "a/two\0", "TRAILER!!!\0"].map(|name| text.find(name).unwrap());
        assert!(places.is_sorted(), "{places:?}");
        assert!(text.contains("000081A4"), "a file of mode 0644");
    }
}
