//! Files stay short enough to read.

/// From here a file is named.
const AIM: usize = 400;
/// From here the check fails.
const LIMIT: usize = 500;

/// Files over the aim, and files over the limit. Test files may be as long as they need.
pub(crate) fn long(files: &[(String, usize)]) -> (Vec<String>, Vec<String>) {
    let sources = || files.iter().filter(|(name, _)| !super::source::is_test_file(name));
    let text =
        |(name, lines): &(String, usize)| format!("{name} has {lines} lines: aim at {AIM}, at most {LIMIT}");
    let noted = sources().filter(|(_, lines)| (AIM + 1..=LIMIT).contains(lines)).map(text).collect();
    (noted, sources().filter(|(_, lines)| *lines > LIMIT).map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_named_and_longer_ones_fail() {
        let files = [("a/src/x.rs", 400), ("a/src/y.rs", 401), ("a/src/z.rs", 501), ("a/tests/t.rs", 900)];
        let (noted, wrong) = long(&files.map(|(name, lines)| (name.to_owned(), lines)));
        assert_eq!(noted, ["a/src/y.rs has 401 lines: aim at 400, at most 500"]);
        assert_eq!(wrong, ["a/src/z.rs has 501 lines: aim at 400, at most 500"]);
    }
}
