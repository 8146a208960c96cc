//! Extended DNS Errors (RFC 8914): why there is no better answer, for people who ask with `dig`.

use crate::model::Reason;

/// The code of the EDNS option that carries it.
pub(super) const EXTENDED_ERROR: u16 = 15;
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
    /// It is not known yet.
    NotReady = 14,
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
    pub(in crate::dns) fn new(code: ExtendedCode, text: impl Into<String>) -> Self {
        let mut text = text.into();
        let fits = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(fits.unwrap_or_default());
        Self { code, text }
    }

    /// What says why the directory has no data.
    pub(super) fn because(reason: &Reason) -> Self {
        let code = match reason {
            Reason::NotListedYet => ExtendedCode::NotReady,
            Reason::NotOurs => ExtendedCode::NotAuthoritative,
            _ => ExtendedCode::Other,
        };
        Self::new(code, reason.to_string())
    }

    /// The data of the option.
    pub(super) fn octets(&self) -> Vec<u8> {
        [&(self.code as u16).to_be_bytes(), self.text.as_bytes()].concat()
    }
}
