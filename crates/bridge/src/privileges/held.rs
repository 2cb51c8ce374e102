//! What the kernel says that this process may do (/proc/self/status).

use std::fmt;
use std::fs;
use std::io;

/// The rights of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The effective user.
    pub uid: u32,
    /// The capabilities that it has, each set as its bits: effective, permitted, inheritable, bounding, ambient.
    pub effective: u64,
    /// What it could make effective.
    pub permitted: u64,
    /// What programs that it starts may inherit.
    pub inheritable: u64,
    /// The most that it could ever gain.
    pub bounding: u64,
    /// What programs that it starts get.
    pub ambient: u64,
    /// Whether it can gain nothing by starting programs.
    pub no_new_privileges: bool,
}

impl Held {
    /// Of this process, as its first thread has them.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn read() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        Self::parse(&status).ok_or_else(|| io::Error::other("/proc/self/status has no capabilities"))
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let bits = |name| u64::from_str_radix(field(name)?, 16).ok();
        Some(Self {
            uid: field("Uid")?.split_whitespace().nth(1)?.parse().ok()?,
            effective: bits("CapEff")?,
            permitted: bits("CapPrm")?,
            inheritable: bits("CapInh")?,
            bounding: bits("CapBnd")?,
            ambient: bits("CapAmb")?,
            no_new_privileges: field("NoNewPrivs")? == "1",
        })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}, {}", self.uid, names(self.permitted))?;
        f.write_str(if self.no_new_privileges { ", no new privileges" } else { ", new privileges possible" })
    }
}

/// Names of capabilities for people.
fn names(bits: u64) -> String {
    let mut known: Vec<_> = caps::all().into_iter().filter(|one| bits & one.bitmask() != 0).collect();
    known.sort_by_key(caps::Capability::index);
    let unknown = known.iter().fold(bits, |left, one| left & !one.bitmask());
    let mut names: Vec<_> = known.iter().map(ToString::to_string).collect();
    if unknown != 0 {
        names.push(format!("capabilities {unknown:#x}"));
    }
    if names.is_empty() { "no capabilities".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tiosmux-bridge\nUid:\t990\t991\t990\t990\nCapInh:\t0000000000000000\n\
        CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\nCapBnd:\t0000000000001000\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    #[test]
    fn the_kernels_table_is_read() {
        let held = Held::parse(STATUS).unwrap();
        assert_eq!((held.uid, held.effective, held.bounding, held.ambient), (991, 1 << 12, 1 << 12, 0));
        assert_eq!(held.to_string(), "user 991, CAP_NET_ADMIN, no new privileges");
    }

    #[test]
    fn what_has_no_name_is_still_said() {
        assert_eq!(names(0), "no capabilities");
        assert_eq!(names(1 << 12 | 1 << 60), "CAP_NET_ADMIN capabilities 0x1000000000000000");
    }

    #[test]
    fn a_table_without_the_sets_is_refused() {
        assert_eq!(Held::parse("Name:\tx\n"), None);
    }
}
