//! How many files a daemon may have open.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Above all bounds of ours together: connections, bridges with two ends each, phones with several.
const FILES: u64 = 8192;

/// Raises the soft limit, which systems keep low for old programs, as far as the hard one lets it and we need.
///
/// # Errors
/// What the system says.
pub fn allow_many() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = FILES.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_raised_and_a_high_one_stays() {
        let limit = || getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let (_, hard) = limit();
        for (soft, expected) in [(256, FILES.min(hard)), (hard, hard)] {
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
            allow_many().unwrap();
            assert_eq!(limit(), (expected, hard));
        }
    }
}
