//! What is wrong with a configuration, where, and what is allowed.

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::checker::Place;
use crate::Exit;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line in the file, from 1; none for the command line and for defaults.
    pub line: Option<usize>,
    /// The character in the line, from 1.
    pub column: Option<usize>,
    /// The key or option.
    pub key: Option<String>,
    /// What was found, what is allowed, and why.
    pub text: String,
    /// The line itself.
    #[serde(skip)]
    excerpt: Option<String>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration {path} can't be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its content is wrong.
    #[error("{}", told(.file.as_deref(), .problems))]
    Invalid {
        /// The file's name; none without a file.
        file: Option<String>,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
}

impl Problem {
    /// A problem at this place, of a file with this text.
    pub(super) fn new(text: &str, place: &Place, what: impl Into<String>) -> Self {
        let (key, span) = match place {
            Place::File { key, span } => (key, span),
            Place::Option(key) => {
                let key = Some((*key).to_owned());
                return Self { line: None, column: None, key, text: what.into(), excerpt: None };
            }
        };
        let start = text.floor_char_boundary(span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        Self {
            line: Some(before.matches('\n').count() + 1),
            column: Some(before.get(line_start..).unwrap_or_default().chars().count() + 1),
            key: (!matches!(key.as_str(), "" | ".")).then(|| key.clone()),
            text: what.into(),
            excerpt: Some(line.trim_end().to_owned()),
        }
    }
}

impl ConfigError {
    /// The exit code: usage, because starting again does not help, unless the file only is not ours to read.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::Permission,
            Self::Read { .. } | Self::Invalid { .. } => Exit::Usage,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// All problems as people read them: `file:line:column: key: text`, with the line below.
fn told(file: Option<&str>, problems: &[Problem]) -> String {
    let name = file.map(|file| format!(" {file}")).unwrap_or_default();
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let mut told = format!("the configuration{name} has {count}:");
    for problem in problems {
        let place = match (file, problem.line, problem.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
            _ => String::new(),
        };
        // Writing to a string can't fail.
        let _ = write!(told, "\n{place}{problem}");
        if let (Some(line), Some(excerpt)) = (problem.line, &problem.excerpt) {
            let _ = write!(told, "\n{line:>5} | {excerpt}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "a = 1\nü = \"x\"\n";
        let at = |start| {
            let problem = Problem::new(text, &Place::at("k", start..start), "w");
            (problem.line, problem.column, problem.excerpt)
        };
        assert_eq!(at(0), (Some(1), Some(1), Some("a = 1".to_owned())));
        assert_eq!(at(11), (Some(2), Some(5), Some("ü = \"x\"".to_owned())));
        assert_eq!(at(7), (Some(2), Some(1), Some("ü = \"x\"".to_owned())), "inside of a character");
        assert_eq!(at(999), (Some(3), Some(1), Some(String::new())), "behind the end");
    }

    #[test]
    fn a_configuration_is_usage_unless_it_is_hidden() {
        let read = |kind| ConfigError::Read { path: "x".into(), source: io::Error::from(kind) };
        assert_eq!(read(io::ErrorKind::NotFound).exit(), Exit::Usage);
        assert_eq!(read(io::ErrorKind::PermissionDenied).exit(), Exit::Permission);
        assert_eq!(ConfigError::Invalid { file: None, problems: Vec::new() }.exit(), Exit::Usage);
    }
}
