//! `LogLevel`: how much is logged.

use std::str::FromStr;

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may go wrong.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why each answer is as it is.
    Debug,
}

impl LogLevel {
    /// The word for it in flags, environment and file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Error, Self::Warn, Self::Info, Self::Debug];
        let found = all.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not one of error, warn, info, debug"))
    }
}
