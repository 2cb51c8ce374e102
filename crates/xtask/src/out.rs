//! The one place of xtask that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;

/// Prints one line for a person.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// Prints one line for a person while stdout is for a program.
pub(crate) fn aside(text: impl Display) {
    eprintln!("{text}");
}
