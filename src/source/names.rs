//! `NameList`: names in their order, each once, and the texts that are none.

use crate::model::{Name, NameSource};

/// Names in their order, each once, and the texts that are none.
#[derive(Default)]
pub(super) struct NameList {
    pub(super) valid: Vec<(Name, NameSource)>,
    pub(super) invalid: Vec<String>,
}

impl NameList {
    /// Adds a text; an empty one is none.
    pub(super) fn add(&mut self, text: &str, source: NameSource) {
        if text.is_empty() {
            return;
        }
        match Name::parse(text) {
            Ok(name) if self.valid.iter().any(|(known, _)| *known == name) => {}
            Ok(name) => self.valid.push((name, source)),
            Err(_) => self.invalid.push(text.to_owned()),
        }
    }
}
