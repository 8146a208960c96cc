//! `Selection`: in which order, how many, for how long and of what health addresses are answered.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use super::{Health, Name};

/// How one question is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Which address comes first.
    pub order: Order,
    /// How many there are.
    pub answers: Answers,
    /// TTL, in seconds.
    pub ttl: u32,
    /// Which endpoints are answered.
    pub health: Health,
}

/// What one place says about it; what it leaves out is said elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Which address comes first.
    pub order: Option<Order>,
    /// How many there are.
    pub answers: Option<Answers>,
    /// TTL, in seconds.
    pub ttl: Option<u32>,
    /// Which endpoints are answered.
    pub health: Option<Health>,
}

/// Which address comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Each in turn.
    #[default]
    Rotate,
    /// Any, by chance.
    Shuffle,
    /// Each in turn, as often as the weight of its container says.
    Weighted,
    /// The same for the same client.
    Sticky,
}

/// How many addresses are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// `All` where clients take the order as it comes, `Sortproof` where they sort: on networks
    /// with both families.
    #[default]
    Auto,
    /// All.
    All,
    /// So many at most; a message has no room for more than its counts can tell.
    Count(NonZeroU16),
    /// The first one, and those that a client sorts behind it (RFC 6724 section 6, rule 9).
    Sortproof,
}

/// Everything that the configuration says about selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// In general.
    pub general: Overrides,
    /// For questions below a domain.
    pub domains: Vec<(Name, Overrides)>,
    /// For names that match a pattern; the first one counts.
    pub names: Vec<(Pattern, Overrides)>,
}

/// A name, or every name below one, or every name that begins so: `web`, `*.shop`, `web-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Rules {
    /// What is in force for a name: the domain of the question goes before the label of the
    /// containers, the label before a pattern, the pattern before the general setting.
    #[must_use]
    pub fn selection(&self, domain: Option<&Name>, owner: &Name, labels: Overrides) -> Selection {
        let of_domain = domain.and_then(|domain| {
            let found = self.domains.iter().find(|(name, _)| name == domain);
            found.map(|(_, overrides)| *overrides)
        });
        of_domain.unwrap_or_default().or(self.without_domain(owner, labels)).resolved()
    }

    /// The same, but for the domain: what belongs to the name itself.
    #[must_use]
    pub fn without_domain(&self, owner: &Name, labels: Overrides) -> Overrides {
        let matching = if self.names.is_empty() {
            None
        } else {
            let text = owner.to_string();
            self.names.iter().find(|(pattern, _)| pattern.matches(&text))
        };
        let pattern = matching.map(|(_, overrides)| *overrides).unwrap_or_default();
        labels.or(pattern).or(self.general)
    }
}

impl Overrides {
    /// Fills what is left out from a place that counts less.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            order: self.order.or(lower.order),
            answers: self.answers.or(lower.answers),
            ttl: self.ttl.or(lower.ttl),
            health: self.health.or(lower.health),
        }
    }

    /// Fills what is left out by the defaults.
    #[must_use]
    pub fn resolved(self) -> Selection {
        Selection {
            order: self.order.unwrap_or_default(),
            answers: self.answers.unwrap_or_default(),
            ttl: self.ttl.unwrap_or_default(),
            health: self.health.unwrap_or_default(),
        }
    }
}

impl Pattern {
    /// Whether a name, in lower case, matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.split_once('*') {
            None => self.0 == name,
            Some((front, back)) => {
                name.len() >= front.len() + back.len()
                    && name.starts_with(front)
                    && name.ends_with(back)
            }
        }
    }
}

/// A text that is no order, number of answers or pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionError(String);

impl FromStr for Order {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        match text {
            "rotate" => Ok(Self::Rotate),
            "shuffle" => Ok(Self::Shuffle),
            "weighted" => Ok(Self::Weighted),
            "sticky" => Ok(Self::Sticky),
            _ => Err(SelectionError(format!(
                "{text:?} is not one of rotate, shuffle, weighted, sticky"
            ))),
        }
    }
}

impl FromStr for Answers {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            "sortproof" => Ok(Self::Sortproof),
            number => number.parse().map(Self::Count).map_err(|_| {
                SelectionError(format!("{text:?} is not one of auto, all, sortproof, or a number"))
            }),
        }
    }
}

impl FromStr for Pattern {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        if text.is_empty() || text.matches('*').count() > 1 {
            return Err(SelectionError(format!(
                "{text:?}: a pattern is a name with one * at most"
            )));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rotate => "rotate",
            Self::Shuffle => "shuffle",
            Self::Weighted => "weighted",
            Self::Sticky => "sticky",
        })
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Sortproof => f.write_str("sortproof"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn ttl(ttl: u32) -> Overrides {
        Overrides { ttl: Some(ttl), ..Overrides::default() }
    }

    #[test]
    fn domain_beats_label_beats_pattern_beats_general() {
        let rules = Rules {
            general: ttl(1),
            domains: vec![(name("one.internal"), ttl(4))],
            names: vec![("web-*".parse().unwrap(), ttl(2))],
        };
        let selected = |domain: Option<&str>, owner: &str, label: Overrides| {
            let domain = domain.map(name);
            rules.selection(domain.as_ref(), &name(owner), label).ttl
        };
        let none = Overrides::default();
        assert_eq!(selected(None, "db", none), 1);
        assert_eq!(selected(None, "web-1", none), 2);
        assert_eq!(selected(None, "web-1", ttl(3)), 3);
        assert_eq!(selected(Some("one.internal"), "web-1", ttl(3)), 4);
        assert_eq!(selected(Some("rr.internal"), "web-1", ttl(3)), 3);
    }

    #[test]
    fn a_pattern_has_one_star_at_most() {
        let matches = |pattern: &str, name: &str| {
            let pattern: Pattern = pattern.parse().unwrap();
            pattern.matches(name)
        };
        assert!(matches("web", "web") && !matches("web", "web2"));
        assert!(matches("*.shop", "a.b.shop") && !matches("*.shop", "shop"));
        assert!(matches("WEB-*", "web-1") && !matches("web-*", "web"));
        assert!(matches("a*a", "aa") && !matches("a*a", "a"));
        assert!("a*b*c".parse::<Pattern>().is_err() && "".parse::<Pattern>().is_err());
    }
}
