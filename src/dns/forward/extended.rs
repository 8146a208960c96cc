//! Extended DNS Errors (RFC 8914): why a name of others is not answered.

use hickory_proto::rr::rdata::opt::EdnsOption;

/// The option's code.
const OPTION: u16 = 15;
/// Octets of text that are sent: a UDP answer must stay small.
const MAX_TEXT: usize = 200;

/// A code of RFC 8914 section 4 and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// What kind of reason it is.
    pub code: ExtendedCode,
    /// The reason.
    pub text: String,
}

/// The kinds that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ExtendedCode {
    /// None of the others.
    Other = 0,
    /// The failure is one that was seen a moment ago.
    CachedError = 13,
    /// This client may not ask for it.
    Prohibited = 18,
    /// It is not ours, and nobody else is asked for this client.
    NotAuthoritative = 20,
    /// No server takes such a question from us.
    NotSupported = 21,
    /// No server gave an answer.
    NoReachableAuthority = 22,
    /// No server can be reached.
    NetworkError = 23,
}

impl ExtendedError {
    pub(super) fn new(code: ExtendedCode, text: impl Into<String>) -> Self {
        let mut text = text.into();
        let fits = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(fits.unwrap_or_default());
        Self { code, text }
    }

    /// As an option of the answer's OPT record.
    #[must_use]
    pub fn option(&self) -> EdnsOption {
        let code = (self.code as u16).to_be_bytes();
        EdnsOption::Unknown(OPTION, [&code[..], self.text.as_bytes()].concat())
    }
}
