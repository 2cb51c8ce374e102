//! Configuration files: read, parsed, checked; and everything that is wrong with one, at once, with line and key.
//!
//! | file | what |
//! |---|---|
//! | [`problem`] | what is wrong, and where |
//! | [`checker`] | collects problems while a program goes through its values |
//! | [`report`] | what `check-config --json` prints |

pub mod checker;
pub mod problem;
pub mod report;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

pub use checker::{Checker, Place};
pub use problem::{ConfigError, Problem};
pub use report::Report;

/// Bytes that a configuration has at most.
const MAX_FILE: u64 = 1024 * 1024;
/// What values with places add to the path of a key. Source: serde_spanned, VALUE_FIELD.
const SPANNED: &str = ".$__serde_spanned_private_value";

/// The file that is named, else the default one unless nothing has its name. One that is out of reach is taken, for reading it says
/// why: what holds without a file may allow more than the file does.
pub fn named_or_default<'a>(named: Option<&'a Path>, default: &'a Path) -> Option<&'a Path> {
    let missing = |path: &Path| matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    named.or_else(|| Some(default).filter(|path| !missing(path)))
}

/// Reads a file.
///
/// # Errors
/// [`ConfigError::Read`]; also when it is longer than any configuration.
pub fn read(file: &Path) -> Result<String, ConfigError> {
    let bounded = |path: &Path| -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            let why = format!("it is longer than {MAX_FILE} bytes: it is no configuration");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(text)
    };
    bounded(file).map_err(|source| ConfigError::Read { path: file.to_owned(), source })
}

/// Takes a file's text as the keys of `T`.
///
/// # Errors
/// The first place where it is no TOML, has an unknown key or a value of the wrong type.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let wrong = |key: Option<String>, error: &toml::de::Error| {
        let place = Place::at(key.unwrap_or_default().replace(SPANNED, ""), error.span().unwrap_or_default());
        // The words of TOML, not those of serde.
        let what = error.message().replace("a sequence", "a list in [ ]").replace("a map", "a table");
        Problem::new(text, &place, what)
    };
    let document = toml::Deserializer::parse(text).map_err(|error| wrong(None, &error))?;
    serde_path_to_error::deserialize(document)
        .map_err(|error| wrong(Some(error.path().to_string()), error.inner()))
}

/// The text of a file that says what `config` says.
pub fn print(config: &impl Serialize) -> String {
    // Only maps with keys that are no strings can't be written.
    toml::to_string(config).unwrap_or_default()
}

/// A value that stands nowhere: for settings that are shown as a file.
pub fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

/// The same for the text of a value.
pub fn text(value: &(impl ToString + ?Sized)) -> Spanned<String> {
    spanned(value.to_string())
}
