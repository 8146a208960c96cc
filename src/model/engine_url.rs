//! `EngineUrl`: where an engine is.

use std::fmt;
use std::str::FromStr;

/// Where an engine is: `unix:///PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineUrl(String);

/// A text that is no engine's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(String);

impl EngineUrl {
    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EngineUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let schemes = ["unix://", "tcp://", "http://"];
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        match rest {
            Some(rest) if !rest.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(UrlError(text.to_owned())),
        }
    }
}

impl fmt::Display for EngineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no engine: write unix:///PATH or tcp://HOST:PORT", self.0)
    }
}

impl std::error::Error for UrlError {}
