//! `[[record]]` tables and hosts files: the configuration's own names.

use std::net::IpAddr;

use serde::Deserialize;

use super::ConfigError;
use crate::model::{Name, StaticData, StaticRecord};

/// A `[[record]]` table as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSetting {
    /// The owner; `*.` in front makes a wildcard.
    pub name: String,
    /// `A`, `AAAA`, `CNAME` or `TXT`.
    pub r#type: String,
    /// The data: one value, or several for a set.
    pub value: OneOrMany,
    /// TTL in seconds; the general one without it.
    #[serde(default)]
    pub ttl: Option<u32>,
}

/// One text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `value = "10.0.0.1"`
    One(String),
    /// `value = ["10.0.0.1", "10.0.0.2"]`
    Many(Vec<String>),
}

/// The keys of a `[[record]]` table.
pub(super) const RECORD_KEYS: [&str; 4] = ["name", "type", "value", "ttl"];
/// Octets of one character-string (RFC 1035 section 3.3).
const MAX_TEXT: usize = 255;

impl RecordSetting {
    /// Its records, one for each value.
    pub(super) fn records(&self) -> Result<Vec<StaticRecord>, ConfigError> {
        let wrong = |what: String| ConfigError::Record { name: self.name.clone(), what };
        let (owner, wildcard) = match self.name.strip_prefix("*.") {
            Some(owner) => (owner, true),
            None => (self.name.as_str(), false),
        };
        let owner = Name::parse(owner).map_err(|error| wrong(error.to_string()))?;
        let values = match &self.value {
            OneOrMany::One(value) => std::slice::from_ref(value),
            OneOrMany::Many(values) => values,
        };
        if values.is_empty() {
            return Err(wrong("it has no value".to_owned()));
        }
        let record = |value: &String| {
            let data = data(&self.r#type, value).map_err(wrong)?;
            Ok(StaticRecord { owner: owner.clone(), wildcard, ttl: self.ttl, data })
        };
        values.iter().map(record).collect()
    }
}

fn data(r#type: &str, value: &str) -> Result<StaticData, String> {
    let address = || -> Result<IpAddr, String> {
        value.parse().map_err(|_| format!("{value:?} is no address"))
    };
    match r#type.to_ascii_uppercase().as_str() {
        "A" => match address()? {
            v4 @ IpAddr::V4(_) => Ok(StaticData::Address(v4)),
            IpAddr::V6(_) => Err(format!("{value} is an IPv6 address; its type is AAAA")),
        },
        "AAAA" => match address()? {
            v6 @ IpAddr::V6(_) => Ok(StaticData::Address(v6)),
            IpAddr::V4(_) => Err(format!("{value} is an IPv4 address; its type is A")),
        },
        "CNAME" => {
            Name::parse(value).map(StaticData::Cname).map_err(|error| format!("{value:?}: {error}"))
        }
        "TXT" if value.len() <= MAX_TEXT => Ok(StaticData::Txt(value.to_owned())),
        "TXT" => Err(format!("a text has at most {MAX_TEXT} octets")),
        other => Err(format!("type {other:?} is not one of A, AAAA, CNAME, TXT")),
    }
}

/// Reads a hosts file (hosts(5)): an address and its names on each line.
pub(super) fn hosts(file: &str, text: &str) -> Result<Vec<StaticRecord>, ConfigError> {
    let mut records = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let wrong = |what| ConfigError::Invalid { file: file.to_owned(), line: line_number, what };
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(first) = words.next() else { continue };
        let address: IpAddr =
            first.parse().map_err(|_| wrong(format!("{first:?} is no address")))?;
        for word in words {
            let owner = Name::parse(word).map_err(|error| wrong(format!("{word:?}: {error}")))?;
            let data = StaticData::Address(address);
            records.push(StaticRecord { owner, wildcard: false, ttl: None, data });
        }
    }
    Ok(records)
}
