//! docs/research/gaps.md lists every `NotSourced` of the code by name.

use super::source::Mentions;
use std::collections::BTreeSet;

/// Where the list is.
pub(crate) const PAGE: &str = "docs/research/gaps.md";

/// Names that `file` reports as not sourced; `Err` for a name that can't be read from the source.
pub(crate) fn names(file: &str, mentions: &Mentions) -> Result<Vec<String>, Vec<String>> {
    let (mut names, mut wrong) = (Vec::new(), Vec::new());
    for literal in mentions.literals.iter().filter(|literal| literal.name == "NotSourced") {
        match literal.fields.iter().find(|(field, _)| field == "what") {
            Some((_, Some(name))) if is_name(name) => names.push(name.clone()),
            Some((_, Some(name))) => {
                wrong.push(format!("{file}:{}: {name:?} is not kebab-case", literal.line));
            }
            _ => wrong.push(format!("{file}:{}: NotSourced needs its name as a literal here", literal.line)),
        }
    }
    if wrong.is_empty() { Ok(names) } else { Err(wrong) }
}

/// Names that the page lists: headings, bullets and first cells of tables that begin with `` `a-name` ``.
pub(crate) fn listed(page: &str) -> BTreeSet<String> {
    let marks: &[_] = &['#', '*', '-', '|', ' '];
    let lines = page.lines().filter(|line| line.starts_with(marks));
    let names = lines.filter_map(|line| line.trim_start_matches(marks).strip_prefix('`')?.split('`').next());
    names.filter(|name| is_name(name)).map(String::from).collect()
}

/// Where code and page differ.
pub(crate) fn wrong(code: &BTreeSet<String>, page: &BTreeSet<String>) -> Vec<String> {
    let unlisted = code.difference(page).map(|name| format!("{name} is in the code but not in {PAGE}"));
    let unused = page.difference(code).map(|name| format!("{name} is in {PAGE} but not in the code"));
    unlisted.chain(unused).collect()
}

fn is_name(text: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.contains('-') && text.split('-').all(part)
}

#[cfg(test)]
mod tests {
    use super::super::source::parse;
    use super::*;

    #[test]
    fn names_come_from_literals() {
        let mentions = parse(r#"fn f() { Err(NotSourced { what: "start-tls" }) }"#).unwrap();
        assert_eq!(names("a.rs", &mentions), Ok(vec!["start-tls".to_owned()]));
    }

    #[test]
    fn a_name_that_cannot_be_read_is_an_error() {
        for text in ["fn f() { NotSourced { what } }", r#"fn f() { NotSourced { what: "Start TLS" } }"#] {
            assert!(names("a.rs", &parse(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn both_directions_are_compared() {
        let page = listed(
            "# Gaps\n\n`not-listed` text\n\n### `start-tls`\n\n* `old-name`: what `else-where` says\n",
        );
        assert_eq!(page, BTreeSet::from(["start-tls".to_owned(), "old-name".to_owned()]));
        let code = BTreeSet::from(["start-tls".to_owned(), "new-name".to_owned()]);
        assert_eq!(wrong(&code, &page).len(), 2);
        assert_eq!(wrong(&page, &page), Vec::<String>::new());
    }
}
