//! From what is written to what it means: what can't be used is noted, and the rest is looked at all the same.

use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;

use super::problem::Problem;

/// Where a value comes from.
#[derive(Debug, Clone)]
pub enum Place {
    /// The file.
    File {
        /// The key, as in `socket.users`.
        key: String,
        /// The bytes of the file.
        span: Range<usize>,
    },
    /// An option of the command line, or a default.
    Option(&'static str),
}

impl Place {
    /// Those bytes of the file.
    pub fn at(key: impl Into<String>, span: Range<usize>) -> Self {
        Self::File { key: key.into(), span }
    }

    /// Where the value of `key` stands.
    pub fn of<T>(key: &str, value: &Spanned<T>) -> Self {
        Self::at(key, value.span())
    }
}

/// The problems of one file so far.
#[derive(Debug)]
pub struct Checker<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    /// A file's text.
    pub fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// Notes a problem.
    pub fn wrong(&mut self, place: &Place, what: impl Display) {
        self.problems.push(Problem::new(self.text, place, what.to_string()));
    }

    /// The settings if nothing was wrong.
    ///
    /// # Errors
    /// All problems, in the order of the file; those of the command line come first, as they have no line.
    pub fn finish<T>(mut self, settings: T) -> Result<T, Vec<Problem>> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        if self.problems.is_empty() { Ok(settings) } else { Err(self.problems) }
    }

    /// What a word stands for; `default` for none, or for one that is not known.
    pub fn word<T: Copy>(
        &mut self,
        key: &str,
        value: Option<&Spanned<String>>,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(value) = value else { return default };
        let found = words.iter().find(|(word, _)| word == value.get_ref());
        found.map(|(_, meaning)| *meaning).unwrap_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let what = format!("{} was expected, {:?} came", known.join(" or "), value.get_ref());
            self.wrong(&Place::of(key, value), what);
            default
        })
    }

    /// The parsed values without those that can't be; a second one of the same kind is a problem too.
    pub fn distinct<T: PartialEq, E: Display>(
        &mut self,
        values: &[(Place, &str)],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut kept = Vec::new();
        for (place, text) in values {
            match parse(text) {
                Err(error) => self.wrong(place, error),
                Ok(value) if kept.contains(&value) => self.wrong(place, format!("{text:?} is there twice")),
                Ok(value) => kept.push(value),
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_come_in_the_order_of_the_file_and_those_without_a_line_first() {
        let text = "a = \"x\"\nb = \"y\"\n";
        let mut checker = Checker::new(text);
        checker.distinct(&[(Place::at("b", 12..15), "y"), (Place::at("a", 4..7), "x")], str::parse::<u8>);
        checker.wrong(&Place::Option("--c"), "no");
        let problems = checker.finish(()).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| (problem.key.as_deref(), problem.line)).collect();
        assert_eq!(keys, [(Some("--c"), None), (Some("a"), Some(1)), (Some("b"), Some(2))]);
    }

    #[test]
    fn a_word_that_is_not_known_is_told_with_those_that_are() {
        let mut checker = Checker::new("k = \"no\"");
        let words = [("auto", 1), ("off", 2)];
        assert_eq!(checker.word("k", None, &words, 0), 0);
        assert_eq!(checker.word("k", Some(&Spanned::new(4..8, "off".to_owned())), &words, 0), 2);
        assert_eq!(checker.word("k", Some(&Spanned::new(4..8, "no".to_owned())), &words, 0), 0);
        let problems = checker.finish(()).unwrap_err();
        assert_eq!(problems[0].text, "\"auto\" or \"off\" was expected, \"no\" came");
    }

    #[test]
    fn the_second_of_a_kind_is_a_problem() {
        let mut checker = Checker::new("");
        let place = || Place::Option("--n");
        assert_eq!(checker.distinct(&[(place(), "1"), (place(), "01")], str::parse::<u8>), [1]);
        assert_eq!(checker.finish(()).unwrap_err()[0].text, "\"01\" is there twice");
    }
}
