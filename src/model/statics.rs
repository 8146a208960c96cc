//! `StaticNames`: names that the configuration or a hosts file gives, wildcards among them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Name, Ring};

/// All static names, ready to be looked up.
#[derive(Clone, Debug, Default)]
pub struct StaticNames {
    exact: HashMap<Name, Arc<StaticSet>>,
    /// By the name below which the wildcard stands.
    wildcards: HashMap<Name, Arc<StaticSet>>,
    /// Names that exist only because of names below them.
    branches: HashSet<Name>,
}

/// One record of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRecord {
    /// Its owner; whether it is the wildcard below that name.
    pub owner: Name,
    /// `*.owner` instead of `owner`.
    pub wildcard: bool,
    /// Its TTL in seconds, if not the policy's.
    pub ttl: Option<u32>,
    /// Its data.
    pub data: StaticData,
}

/// What a static record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticData {
    /// An address.
    Address(IpAddr),
    /// Another name for the owner.
    Cname(Name),
    /// A text of at most 255 octets.
    Txt(String),
}

/// The records of one static name.
#[derive(Debug)]
pub struct StaticSet {
    /// The owner, or the name that its wildcard stands below.
    pub owner: Name,
    /// The A RRset.
    pub v4: Ring<Ipv4Addr>,
    /// The AAAA RRset.
    pub v6: Ring<Ipv6Addr>,
    /// The canonical name; then there is no other record.
    pub cname: Option<Name>,
    /// The TXT RRset.
    pub texts: Vec<String>,
    /// TTL in seconds, if not the policy's: the least of its records'.
    pub ttl: Option<u32>,
}

/// Why records cannot stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticError {
    /// RFC 1034 section 3.6.2: a CNAME stands alone.
    CnameWithOthers(Name),
}

/// What a static look-up finds.
#[derive(Clone, Debug)]
pub enum StaticFound {
    /// Records.
    Set(Arc<StaticSet>),
    /// An empty non-terminal.
    Branch,
}

impl StaticNames {
    /// Puts records together by their owners.
    pub fn new(records: &[StaticRecord]) -> Result<Self, StaticError> {
        let mut grouped: HashMap<(Name, bool), Vec<&StaticRecord>> = HashMap::new();
        for record in records {
            grouped.entry((record.owner.clone(), record.wildcard)).or_default().push(record);
        }
        let mut names = Self::default();
        for ((owner, wildcard), records) in grouped {
            let end = owner.as_wire().len();
            let above = owner.label_starts().skip(usize::from(!wildcard));
            names.branches.extend(above.map(|start| owner.part(start, end)));
            let set = Arc::new(StaticSet::new(owner.clone(), &records)?);
            let map = if wildcard { &mut names.wildcards } else { &mut names.exact };
            map.insert(owner, set);
        }
        Ok(names)
    }

    /// Finds a name, or the wildcard that covers it: the one below the closest name that exists
    /// (RFC 4592 section 3.3.1).
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<StaticFound> {
        if let Some(set) = self.exact.get(name) {
            return Some(StaticFound::Set(set.clone()));
        }
        if self.branches.contains(name) {
            return Some(StaticFound::Branch);
        }
        let end = name.as_wire().len();
        let ancestors = name.label_starts().skip(1).map(|start| name.part(start, end));
        let mut existing =
            ancestors.filter(|name| self.branches.contains(name) || self.exact.contains_key(name));
        let closest = existing.next()?;
        self.wildcards.get(&closest).cloned().map(StaticFound::Set)
    }

    /// Every set, with `*.` in front of a wildcard's owner, by name.
    #[must_use]
    pub fn sets(&self) -> Vec<(String, &StaticSet)> {
        let exact = self.exact.iter().map(|(owner, set)| (owner.to_string(), &**set));
        let wildcards = self.wildcards.iter().map(|(owner, set)| (format!("*.{owner}"), &**set));
        let mut sets: Vec<_> = exact.chain(wildcards).collect();
        sets.sort_by(|a, b| a.0.cmp(&b.0));
        sets
    }

    /// The names themselves, without wildcards.
    pub fn owners(&self) -> impl Iterator<Item = &Name> {
        self.exact.keys()
    }
}

impl StaticSet {
    /// A set of these addresses.
    #[must_use]
    pub fn of_addresses(owner: Name, addresses: &[IpAddr]) -> Self {
        let v4 = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let v6 = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(*v6),
        });
        let (v4, v6) = (Ring::new(v4.collect()), Ring::new(v6.collect()));
        Self { owner, v4, v6, cname: None, texts: Vec::new(), ttl: None }
    }

    fn new(owner: Name, records: &[&StaticRecord]) -> Result<Self, StaticError> {
        let (mut v4, mut v6, mut texts, mut cname) = (Vec::new(), Vec::new(), Vec::new(), None);
        for record in records {
            match &record.data {
                StaticData::Address(IpAddr::V4(address)) => v4.push(*address),
                StaticData::Address(IpAddr::V6(address)) => v6.push(*address),
                StaticData::Txt(text) => texts.push(text.clone()),
                StaticData::Cname(target) => cname = Some(target.clone()),
            }
        }
        if cname.is_some() && records.len() > 1 {
            return Err(StaticError::CnameWithOthers(owner));
        }
        let ttl = records.iter().filter_map(|record| record.ttl).min();
        Ok(Self { owner, v4: Ring::new(v4), v6: Ring::new(v6), cname, texts, ttl })
    }
}

impl fmt::Display for StaticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CnameWithOthers(owner) => {
                write!(f, "{owner} has a CNAME and another record; a CNAME stands alone")
            }
        }
    }
}

impl std::error::Error for StaticError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn record(owner: &str, data: StaticData) -> StaticRecord {
        let wildcard = owner.starts_with("*.");
        let owner = name(owner.trim_start_matches("*."));
        StaticRecord { owner, wildcard, ttl: None, data }
    }

    fn found(names: &StaticNames, text: &str) -> String {
        match names.find(&name(text)) {
            Some(StaticFound::Set(set)) => {
                format!("{:?}", set.v4.addresses(super::super::Health::Ignore))
            }
            Some(StaticFound::Branch) => "branch".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_wildcard_covers_what_does_not_exist_below_its_name() {
        let address = |last| StaticData::Address(Ipv4Addr::new(10, 0, 0, last).into());
        let names = StaticNames::new(&[
            record("*.apps.test", address(1)),
            record("x.b.apps.test", address(2)),
        ])
        .unwrap();
        assert_eq!(found(&names, "a.apps.test"), "[10.0.0.1]");
        assert_eq!(found(&names, "c.a.apps.test"), "[10.0.0.1]");
        assert_eq!(found(&names, "x.b.apps.test"), "[10.0.0.2]");
        assert_eq!(found(&names, "y.b.apps.test"), "nothing", "b.apps.test exists");
        assert_eq!(found(&names, "b.apps.test"), "branch");
        assert_eq!(found(&names, "apps.test"), "branch");
        assert_eq!(found(&names, "other.test"), "nothing");
    }

    #[test]
    fn a_cname_stands_alone() {
        let cname = record("a.test", StaticData::Cname(name("b.test")));
        let text = record("a.test", StaticData::Txt("x".to_owned()));
        let error = StaticNames::new(&[cname.clone(), text]).unwrap_err();
        assert_eq!(error, StaticError::CnameWithOthers(name("a.test")));
        assert!(StaticNames::new(&[cname]).is_ok());
    }
}
