//! `RecordSet`: the endpoints of one name on one network, ready to be answered.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::{Member, Name, NetworkId, Order, Overrides, Ring, Rules, Spoke, Turns};

/// Who answers to one name on one network. Immutable but for the turns of its rings: a change
/// makes a new set, which goes on where the old one stopped.
#[derive(Debug)]
pub struct RecordSet {
    /// The addresses of the A RRset.
    pub v4: Ring<Ipv4Addr>,
    /// The unqualified owner name.
    pub owner: Name,
    /// Where.
    pub place: Arc<Place>,
    /// Every endpoint, by address, fit or not. Empty for an empty non-terminal.
    pub members: Arc<[Member]>,
    /// What most sets have not.
    rest: Option<Box<Rest>>,
}

/// What few sets have.
#[derive(Debug)]
struct Rest {
    /// The addresses of the AAAA RRset; they have their own turn, since a client that asks for
    /// both types would otherwise move each by two. None: it has never had any.
    v6: Option<Ring<Ipv6Addr>>,
    said: Agreed,
}

/// What the labels of a set's containers say about selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Agreed {
    /// As far as most of them agree.
    labels: Overrides,
    /// Whether anybody says otherwise.
    differ: bool,
}

/// The network of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub network: NetworkId,
    /// Its name as its engine spells it.
    pub name: Arc<str>,
    /// Whether it has ranges of both families. There the C libraries sort what they get (RFC 6724),
    /// and the first address is not the one that a client connects to.
    pub dual_stack: bool,
}

/// What the health of endpoints means for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// The best rank that anyone has, so that a name never loses its last address to it.
    #[default]
    Prefer,
    /// Ready endpoints only.
    Require,
    /// Every endpoint.
    Ignore,
}

impl RecordSet {
    /// A set of these members, going on after the last address that `previous` answered first.
    #[must_use]
    pub fn new(
        owner: Name,
        place: Arc<Place>,
        members: Arc<[Member]>,
        rules: &Rules,
        previous: Option<&Self>,
        turns: &mut Turns,
    ) -> Self {
        let agreed = agreed(&members);
        let selection = rules.without_domain(&owner, agreed.labels).resolved();
        let (health, weighted) = (selection.health, selection.order == Order::Weighted);
        let v4 = members.iter().filter_map(|member| Some(member.spoke(member.v4?))).collect();
        let v6: Vec<_> =
            members.iter().filter_map(|member| Some(member.spoke(member.v6?))).collect();
        let previous_v6 = previous.and_then(Self::v6);
        let has_v6 = !v6.is_empty() || previous_v6.is_some();
        let previous_v4 = previous.map(|set| &set.v4);
        let v4 = Ring::following(v4, health, weighted, previous_v4, turns);
        let v6 = has_v6.then(|| Ring::following(v6, health, weighted, previous_v6, turns));
        let has_rest = v6.is_some() || agreed != Agreed::default();
        let rest = has_rest.then(|| Box::new(Rest { v6, said: agreed }));
        Self { v4, owner, place, members, rest }
    }

    /// The same members under other rules.
    #[must_use]
    pub fn with_rules(&self, rules: &Rules, turns: &mut Turns) -> Self {
        let members = self.members.clone();
        Self::new(self.owner.clone(), self.place.clone(), members, rules, Some(self), turns)
    }

    /// The addresses of the AAAA RRset, if it has ever had any.
    #[must_use]
    pub fn v6(&self) -> Option<&Ring<Ipv6Addr>> {
        self.rest.as_ref()?.v6.as_ref()
    }

    /// What the containers' labels say about selection, as far as most of them agree.
    #[must_use]
    pub fn labels(&self) -> Overrides {
        self.rest.as_ref().map(|rest| rest.said.labels).unwrap_or_default()
    }

    /// Whether they do not agree.
    #[must_use]
    pub fn labels_differ(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.said.differ)
    }

    /// Whether answers have this member, unless the question's domain says otherwise; health may
    /// leave it out.
    #[must_use]
    pub fn answers(&self, member: &Member) -> bool {
        let v4 = || self.v4.fit_addresses();
        let v6 = || self.v6().map(Ring::fit_addresses).unwrap_or_default();
        member.v4.is_some_and(|address| v4().contains(&address))
            || member.v6.is_some_and(|address| v6().contains(&address))
    }
}

impl Member {
    fn spoke<T>(&self, address: T) -> Spoke<T> {
        let rank = self.container.rank();
        Spoke { address, rank, weight: self.container.labels.weight }
    }
}

/// The majority for each key, by name order where two are equally many.
fn agreed(members: &[Member]) -> Agreed {
    let mut differ = false;
    let labels = Overrides {
        order: majority(members, |labels| labels.order, &mut differ),
        answers: majority(members, |labels| labels.answers, &mut differ),
        ttl: majority(members, |labels| labels.ttl, &mut differ),
        health: majority(members, |labels| labels.health, &mut differ),
    };
    Agreed { labels, differ }
}

fn majority<T: Copy + PartialEq>(
    members: &[Member],
    key: impl Fn(&Overrides) -> Option<T>,
    differ: &mut bool,
) -> Option<T> {
    let mut said: Vec<(&str, T)> =
        said_by(members).filter_map(|(name, labels)| Some((name, key(labels)?))).collect();
    said.sort_by_key(|(name, _)| *name);
    let votes = |wanted: T| said.iter().filter(|(_, value)| *value == wanted).count();
    let (_, first) = *said.first()?;
    *differ |= votes(first) < said.len();
    // The first of the most.
    let most = said.iter().map(|(_, value)| votes(*value)).max()?;
    said.iter().map(|(_, value)| *value).find(|value| votes(*value) == most)
}

/// Each container's name, and what its labels say.
fn said_by(members: &[Member]) -> impl Iterator<Item = (&str, &Overrides)> {
    members.iter().map(|member| (&*member.container.name, &member.container.labels.selection))
}

/// A text that is no [`Health`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthError(String);

impl FromStr for Health {
    type Err = HealthError;

    fn from_str(text: &str) -> Result<Self, HealthError> {
        match text {
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "ignore" => Ok(Self::Ignore),
            _ => Err(HealthError(text.to_owned())),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::Ignore => "ignore",
        })
    }
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not one of prefer, require, ignore", self.0)
    }
}

impl std::error::Error for HealthError {}

#[cfg(test)]
mod tests {
    use super::super::{Client, Container};
    use super::*;

    /// Of 100,000 containers there are 200,000 sets and more, so an octet more of each is seen in
    /// what `bench scale` measures.
    #[test]
    fn what_there_is_of_each_endpoint_is_small() {
        assert!(size_of::<RecordSet>() <= 72);
        assert!(size_of::<Member>() <= 32);
        assert!(size_of::<Client>() <= 32);
        assert!(size_of::<Container>() <= 176);
    }
}
