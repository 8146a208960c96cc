//! Extended DNS errors (RFC 8914): the decision's reason, for people who ask with `dig`.

use crate::model::Reason;

/// An INFO-CODE and its EXTRA-TEXT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExtendedError {
    pub(super) code: u16,
    pub(super) text: String,
}

/// The EDNS option that carries it.
pub(super) const EXTENDED_ERROR: u16 = 15;

// INFO-CODEs (RFC 8914 section 4).
const OTHER: u16 = 0;
const NOT_READY: u16 = 14;
const NOT_AUTHORITATIVE: u16 = 20;
const NOT_SUPPORTED: u16 = 21;

impl ExtendedError {
    /// What says why there is no data.
    pub(super) fn because(reason: &Reason) -> Self {
        let code = match reason {
            Reason::NotListedYet => NOT_READY,
            Reason::NotOurs => NOT_AUTHORITATIVE,
            _ => OTHER,
        };
        Self { code, text: reason.to_string() }
    }

    /// A class or type of question that nobody here answers.
    pub(super) fn not_supported(what: &str) -> Self {
        Self { code: NOT_SUPPORTED, text: what.to_owned() }
    }
}
