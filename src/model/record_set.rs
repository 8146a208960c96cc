//! `RecordSet`: the endpoints of one name on one network, ready to be answered.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::{Member, Name, NetworkId, Order, Overrides, Ring, Rules, Spoke};

/// Who answers to one name on one network. Immutable but for the turns of its rings: a change
/// makes a new set, which goes on where the old one stopped.
#[derive(Debug)]
pub struct RecordSet {
    /// The unqualified owner name.
    pub owner: Name,
    /// Where.
    pub place: Place,
    /// Every endpoint, by address, fit or not. Empty for an empty non-terminal.
    pub members: Box<[Member]>,
    /// What the containers' labels say about selection, as far as most of them agree.
    pub labels: Overrides,
    /// Whether they do not agree.
    pub labels_differ: bool,
    /// Which endpoints are answered, unless the question's domain says otherwise.
    pub health: Health,
    /// The addresses of the A RRset.
    pub v4: Ring<Ipv4Addr>,
    /// The addresses of the AAAA RRset; they have their own turn, since a client that asks for
    /// both types would otherwise move each by two.
    pub v6: Ring<Ipv6Addr>,
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
        place: Place,
        mut members: Vec<Member>,
        rules: &Rules,
        previous: Option<&Self>,
    ) -> Self {
        members.sort_by(|a, b| (a.v4, a.v6, &a.name).cmp(&(b.v4, b.v6, &b.name)));
        let (labels, labels_differ) = agreed(&members);
        let selection = rules.without_domain(&owner, labels).resolved();
        let (health, weighted) = (selection.health, selection.order == Order::Weighted);
        let v4 = members.iter().filter_map(|member| Some(member.spoke(member.v4?))).collect();
        let v6 = members.iter().filter_map(|member| Some(member.spoke(member.v6?))).collect();
        Self {
            v4: Ring::following(v4, health, weighted, previous.map(|set| &set.v4)),
            v6: Ring::following(v6, health, weighted, previous.map(|set| &set.v6)),
            owner,
            place,
            members: members.into(),
            labels,
            labels_differ,
            health,
        }
    }

    /// The same members under other rules.
    #[must_use]
    pub fn with_rules(&self, rules: &Rules) -> Self {
        let members = self.members.to_vec();
        Self::new(self.owner.clone(), self.place.clone(), members, rules, Some(self))
    }

    /// Whether answers have this member; health may leave it out.
    #[must_use]
    pub fn answers(&self, member: &Member) -> bool {
        let v4 = || self.v4.addresses(self.health);
        let v6 = || self.v6.addresses(self.health);
        member.v4.is_some_and(|address| v4().contains(&address))
            || member.v6.is_some_and(|address| v6().contains(&address))
    }
}

impl Member {
    fn spoke<T>(&self, address: T) -> Spoke<T> {
        Spoke { address, rank: self.rank, weight: self.weight }
    }
}

/// What the labels of a set's containers say: the majority for each key, by name order where two
/// are equally many; and whether anybody says otherwise.
fn agreed(members: &[Member]) -> (Overrides, bool) {
    let mut differ = false;
    let labels = Overrides {
        order: majority(members, |labels| labels.order, &mut differ),
        answers: majority(members, |labels| labels.answers, &mut differ),
        ttl: majority(members, |labels| labels.ttl, &mut differ),
        health: majority(members, |labels| labels.health, &mut differ),
    };
    (labels, differ)
}

fn majority<T: Copy + PartialEq>(
    members: &[Member],
    key: impl Fn(&Overrides) -> Option<T>,
    differ: &mut bool,
) -> Option<T> {
    let mut said: Vec<(&str, T)> =
        members.iter().filter_map(|m| Some((&*m.name, key(&m.labels)?))).collect();
    said.sort_by_key(|(name, _)| *name);
    let votes = |wanted: T| said.iter().filter(|(_, value)| *value == wanted).count();
    let (_, first) = *said.first()?;
    *differ |= votes(first) < said.len();
    // The first of the most.
    let most = said.iter().map(|(_, value)| votes(*value)).max()?;
    said.iter().map(|(_, value)| *value).find(|value| votes(*value) == most)
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
