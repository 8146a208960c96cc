//! `Name`: a valid owner name, case-folded once, at the edge.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An owner name as RFC 1035 section 3.1 puts it on the wire, in lower case and without the
/// root's zero octet, so that joining two names is joining their octets and a question's name can
/// be looked up as it arrived.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

/// Why a text is no owner name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing between two dots, or nothing at all.
    EmptyLabel,
    /// A label of more than 63 octets (RFC 1035 section 2.3.4).
    LongLabel,
    /// More than 255 octets on the wire (RFC 1035 section 2.3.4).
    LongName,
    /// A space or a control character: legal on the wire, never meant in a name.
    BadCharacter,
}

/// Octets of a label without its length (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// Octets of all labels with their lengths; the root's zero octet makes it 255.
const MAX_LABELS: usize = 254;

impl Name {
    /// Reads a name as people write it; one dot at the end is taken for the root.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(NameError::BadCharacter);
        }
        Self::from_labels(text.split('.').map(str::as_bytes))
    }

    /// Builds a name from labels in the order of writing, folding ASCII case (RFC 4343).
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            let length = u8::try_from(label.len()).map_err(|_| NameError::LongLabel)?;
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > MAX_LABEL {
                return Err(NameError::LongLabel);
            }
            wire.push(length);
            wire.extend(label.iter().map(u8::to_ascii_lowercase));
        }
        if wire.len() > MAX_LABELS {
            return Err(NameError::LongName);
        }
        Ok(Self(wire.into()))
    }

    /// The root: the name without a label.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from([]))
    }

    /// `self` below `parent`: `web` and `netlb` make `web.netlb`.
    pub fn below(&self, parent: &Self) -> Result<Self, NameError> {
        if self.0.len() + parent.0.len() > MAX_LABELS {
            return Err(NameError::LongName);
        }
        Ok(Self([&self.0[..], &parent.0[..]].concat().into()))
    }

    /// The name that a part of this name's octets stands for. `start` and `end` lie on the
    /// beginning of labels, as [`Name::label_starts`] gives them.
    #[must_use]
    pub fn part(&self, start: usize, end: usize) -> Self {
        Self(self.0[start..end].into())
    }

    /// What remains in front when `suffix` is taken off the end, by whole labels.
    #[must_use]
    pub fn prefix_before(&self, suffix: &Self) -> Option<&[u8]> {
        let at = self.0.len().checked_sub(suffix.0.len())?;
        let aligned = at == self.0.len() || self.label_starts().any(|start| start == at);
        (aligned && self.0[at..] == suffix.0[..]).then(|| &self.0[..at])
    }

    /// Whether it is one label: a bare host name or a top-level domain. The root has none.
    #[must_use]
    pub fn is_single_label(&self) -> bool {
        self.label_starts().take(2).count() == 1
    }

    /// Where each label begins.
    pub fn label_starts(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let start = next;
            next += 1 + usize::from(*self.0.get(start)?);
            Some(start)
        })
    }

    /// The labels, without their lengths.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.label_starts().map(|start| {
            let length = usize::from(self.0[start]);
            &self.0[start + 1..=start + length]
        })
    }

    /// The octets: length and label in turn, lower case, without the root's zero octet.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Presentation format (RFC 1035 section 5.1) without the final dot: `.` and `\` inside a label
/// are escaped, octets that do not print are written `\DDD`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            for &octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                    0x21..=0x7e => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a label is empty",
            Self::LongLabel => "a label has more than 63 octets",
            Self::LongName => "the name has more than 255 octets",
            Self::BadCharacter => "a space or control character is in it",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn folds_case_and_strips_one_final_dot() {
        assert_eq!(name("Web.NetLB."), name("web.netlb"));
        assert_eq!(name("web").as_wire(), b"\x03web");
        assert_eq!(name("my_app.v2-1").to_string(), "my_app.v2-1");
    }

    #[test]
    fn refuses_what_cannot_go_on_the_wire() {
        let long = "a".repeat(64);
        let deep = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
        for (text, error) in [
            ("", NameError::EmptyLabel),
            (".", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            ("web..", NameError::EmptyLabel),
            ("a b", NameError::BadCharacter),
            ("a\u{7}", NameError::BadCharacter),
            (&*long, NameError::LongLabel),
            (&*deep, NameError::LongName),
        ] {
            assert_eq!(Name::parse(text), Err(error), "{text:?}");
        }
        let fits = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(name(&fits).as_wire().len(), MAX_LABELS);
        assert_eq!(name("x").below(&name(&fits)), Err(NameError::LongName));
    }

    #[test]
    fn takes_off_a_suffix_by_whole_labels_only() {
        let domain = name("rr.internal");
        assert_eq!(name("web.rr.internal").prefix_before(&domain), Some(&b"\x03web"[..]));
        assert_eq!(name("rr.internal").prefix_before(&domain), Some(&b""[..]));
        assert_eq!(name("webrr.internal").prefix_before(&domain), None);
        assert_eq!(name("internal").prefix_before(&domain), None);
    }

    #[test]
    fn escapes_what_does_not_print() {
        let odd = Name::from_labels([&b"a.b\\\x00"[..], &b"\xff"[..]]);
        assert_eq!(odd.map(|n| n.to_string()).as_deref(), Ok("a\\.b\\\\\\000.\\255"));
    }
}
