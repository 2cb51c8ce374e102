//! The one place of xtask that prints.
#![allow(clippy::print_stdout)]

use std::fmt::Display;

/// Prints one line for a person.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}
