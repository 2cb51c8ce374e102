//! Room on the disk: a run that lacks it fails late and in strange places, so it is said at the start.

use anyhow::{Context as _, Result};
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// Bytes that a first run of every tier leaves in cargo's target folder, with `CARGO_INCREMENTAL=0`, and some to spare.
const TARGET: u64 = 10_000_000_000;

/// What people should know before a run that begins with this much room around `target`; nothing when it is enough.
pub(crate) fn warning(target: &Path) -> Result<Option<String>> {
    let there = target.ancestors().find(|path| path.exists()).context("the target folder has no parent")?;
    let disk = statvfs(there).with_context(|| format!("cannot ask how full {} is", there.display()))?;
    Ok(judge(disk.blocks_available().saturating_mul(disk.fragment_size()), there))
}

fn judge(free: u64, there: &Path) -> Option<String> {
    (free < TARGET).then(|| {
        let gigabytes = |bytes: u64| format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10);
        let (free, wanted) = (gigabytes(free), gigabytes(TARGET));
        format!(
            "{free} free around {}; a first run of every tier takes up to {wanted}: make room (cargo clean), or set \
             CARGO_TARGET_DIR to a larger disk",
            there.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nearly_full_disk_is_told_with_figures_and_a_way_out() {
        let place = Path::new("/x/target");
        assert_eq!(judge(TARGET, place), None);
        let text = judge(1_234_567_890, place).unwrap();
        assert!(text.starts_with("1.2 GB free around /x/target; "), "{text}");
        assert!(text.contains("CARGO_TARGET_DIR"), "{text}");
    }

    #[test]
    fn a_target_folder_that_is_not_there_yet_has_its_parents_room() {
        let folder = tempfile::tempdir().unwrap();
        assert!(warning(&folder.path().join("not/yet")).is_ok());
    }
}
