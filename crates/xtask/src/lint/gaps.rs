//! docs/research/gaps.md lists every `NotSourced` of the code by name.

use super::source::Mentions;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a bullet at least: what is unknown, where we looked, what would close it.
const SHORTEST: usize = 40;

/// Where the list is.
pub(crate) const PAGE: &str = "docs/research/gaps.md";

/// Names by crate.
pub(crate) type Names = BTreeMap<String, BTreeSet<String>>;

/// Names that `file` reports as not sourced; `Err` for a name that can't be read from the source.
pub(crate) fn names(file: &str, mentions: &Mentions) -> Result<Vec<String>, Vec<String>> {
    let (mut names, mut wrong) = (Vec::new(), Vec::new());
    for literal in mentions.literals.iter().filter(|literal| literal.name == "NotSourced") {
        // Errors of other crates have variants of the same name, without this field.
        match literal.fields.iter().find(|(field, _)| field == "what") {
            Some((_, Some(name))) if is_name(name) => names.push(name.clone()),
            Some((_, Some(name))) => {
                wrong.push(format!("{file}:{}: {name:?} is not kebab-case", literal.line));
            }
            Some((_, None)) => {
                wrong.push(format!("{file}:{}: NotSourced needs its name as a literal here", literal.line));
            }
            None => {}
        }
    }
    if wrong.is_empty() { Ok(names) } else { Err(wrong) }
}

/// Where the code and the text of the page differ, and where the page says too little.
pub(crate) fn wrong(code: &Names, page: &str) -> Vec<String> {
    let (listed, mut poor) = listed(page);
    poor.extend(differences(code, &listed));
    poor
}

/// Names that the page lists: bullets that begin with `` `a-name`: ``, in the section `## CRATE`; and what is wrong with these.
fn listed(page: &str) -> (Names, Vec<String>) {
    let (mut names, mut poor, mut section) = (Names::new(), Vec::new(), String::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim().trim_matches('`').to_owned();
        }
        let bullet = line.trim_start().strip_prefix("- `").or_else(|| line.trim_start().strip_prefix("* `"));
        let Some((name, what)) =
            bullet.and_then(|rest| rest.split_once('`')).filter(|(name, _)| is_name(name))
        else {
            continue;
        };
        if what.len() < SHORTEST {
            poor.push(format!("{PAGE}: {name}: say what is unknown, where we looked, what would close it"));
        }
        if !names.entry(section.clone()).or_default().insert(name.to_owned()) {
            poor.push(format!("{PAGE}: {name} is in ## {section} twice"));
        }
    }
    (names, poor)
}

fn differences(code: &Names, page: &Names) -> Vec<String> {
    let flat = |names: &Names| -> BTreeSet<(String, String)> {
        names
            .iter()
            .flat_map(|(section, set)| set.iter().map(|name| (section.clone(), name.clone())))
            .collect()
    };
    let (code, page) = (flat(code), flat(page));
    let unlisted =
        code.difference(&page).map(|(s, n)| format!("{n} is in the code of {s} but not in {PAGE}, ## {s}"));
    let unused =
        page.difference(&code).map(|(s, n)| format!("{n} is in {PAGE}, ## {s}, but not in its code"));
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
    fn a_variant_of_the_same_name_is_not_a_gap() {
        let mentions = parse("fn f() { Err(Error::NotSourced { offset, gap: OTHER }) }").unwrap();
        assert_eq!(names("a.rs", &mentions), Ok(Vec::new()));
    }

    #[test]
    fn both_directions_are_compared() {
        let what = "what `else-where` says, at a length that nobody can call terse";
        let page = format!(
            "# Gaps\n\n- `no-crate`: {what}\n\n## a\n\n- `start-tls`: {what}\n\n## b\n\n* `old-name`: {what}\n"
        );
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let code = Names::from([("a".into(), names("start-tls")), ("b".into(), names("new-name"))]);
        let found = wrong(&code, &page);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("new-name is in the code of b"));
        assert_eq!(wrong(&listed(&page).0, &page), Vec::<String>::new());
    }

    #[test]
    fn a_bullet_says_enough_and_once() {
        let page = "## a\n\n- `start-tls`: unknown\n- `start-tls`: what the answer is, asked of five clients and one capture\n";
        let found = wrong(&listed(page).0, page);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("say what is unknown") && found[1].contains("twice"), "{found:?}");
    }
}
