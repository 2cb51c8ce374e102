//! Things that must not be committed: machine paths, left-over marks, tests that are switched off.

/// A text and why it must not be there; written in parts so that this file passes its own check.
const CODE_MARKS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "left-over mark"),
    (concat!("FIX", "ME"), "left-over mark"),
    (concat!("XX", "X"), "left-over mark"),
    (concat!("#[", "ignore"), "a test that is switched off"),
];
/// File names that are code.
const CODE: &[&str] = &[".rs", ".c", ".h", ".nix", ".py", ".sh", "/run"];

/// Folders of people's machines; `/home/` counts only with a name behind it.
const MACHINE: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/"), concat!("/ho", "me/")];

/// Names of files that a test run leaves behind when a snapshot differs.
const LEFT_OVERS: &[&str] = &[".snap.new", ".pending-snap"];

/// What is wrong with the name of a tracked file.
pub(crate) fn wrong_name(name: &str) -> Option<String> {
    let left_over = LEFT_OVERS.iter().any(|end| name.ends_with(end));
    left_over.then(|| format!("{name}: a snapshot that nobody accepted"))
}

/// What is wrong in the file `name` with these contents.
pub(crate) fn wrong(name: &str, text: &str) -> Vec<String> {
    let code = CODE.iter().any(|end| name.ends_with(end));
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        if let Some(path) = MACHINE.iter().find(|path| names_machine(line, path)) {
            wrong.push(format!("{name}:{at}: a path of one machine ({path})"));
        }
        let mark = CODE_MARKS.iter().find(|(mark, _)| code && has_word(line, mark));
        if let Some((mark, why)) = mark {
            wrong.push(format!("{name}:{at}: {mark}: {why}"));
        }
    }
    wrong
}

/// A mark counts as a word of its own.
fn has_word(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + mark.len()..].chars().next();
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !letter(before) && !letter(after)
    })
}

fn names_machine(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        // `a/work/b` and `$HOME/work/` are not absolute.
        let before = line[..at].chars().next_back();
        let absolute = before.is_none_or(|c| !(c.is_alphanumeric() || "._-}$/".contains(c)));
        let after = line[at + path.len()..].chars().next();
        absolute && after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_that_nobody_accepted_are_found() {
        assert!(wrong_name("a/b.snap.new").is_some() && wrong_name("a/.b.rs.pending-snap").is_some());
        assert_eq!(wrong_name("a/b.snap"), None);
    }

    #[test]
    fn machine_paths_are_found() {
        for path in MACHINE {
            assert_eq!(wrong("a.md", &format!("see `{path}someone/x`")).len(), 1, "{path}");
            assert_eq!(wrong("a.md", &format!("see docs{path}someone")), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn marks_are_found_in_code_only() {
        for (mark, _) in CODE_MARKS {
            assert_eq!(wrong("a.rs", &format!("// {mark}: later")).len(), 1, "{mark}");
            assert_eq!(wrong("a.md", &format!("{mark}: later")), Vec::<String>::new(), "{mark}");
        }
        assert_eq!(wrong("a.rs", "let autodo = 1;"), Vec::<String>::new());
    }
}
