//! What `check-config --json` prints.

use serde::Serialize;

use super::problem::{ConfigError, Problem};

/// Whether a file can be used, and as what.
#[derive(Debug, Serialize)]
pub struct Report<C> {
    /// The form of this JSON.
    pub schema: &'static str,
    /// Whether a program would run with it.
    pub valid: bool,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
    /// What a program would run with, as a file with every key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<C>,
}

impl<C> Report<C> {
    /// The report on a file of which `settings` were made.
    ///
    /// # Errors
    /// A file that can't be read is no report.
    pub fn new(schema: &'static str, settings: Result<C, ConfigError>) -> Result<Self, ConfigError> {
        match settings {
            Ok(settings) => Ok(Self { schema, valid: true, problems: Vec::new(), settings: Some(settings) }),
            Err(ConfigError::Invalid { problems, .. }) => {
                Ok(Self { schema, valid: false, problems, settings: None })
            }
            Err(unreadable) => Err(unreadable),
        }
    }
}
