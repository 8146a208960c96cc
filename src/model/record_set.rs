//! `RecordSet`: the endpoints of one name on one network, and whose turn it is.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Member, Name, NetworkId};

/// Who answers to one name on one network. Immutable but for the turns of its rings: a change
/// makes a new set, which goes on where the old one stopped.
#[derive(Debug)]
pub struct RecordSet {
    /// The unqualified owner name.
    pub owner: Name,
    /// The network.
    pub network: NetworkId,
    /// The network's name as its engine spells it.
    pub network_name: Arc<str>,
    /// Every endpoint, in rotation order, fit or not. Empty for an empty non-terminal.
    pub members: Box<[Member]>,
    /// The addresses of the A RRset.
    pub v4: Ring<Ipv4Addr>,
    /// The addresses of the AAAA RRset; they have their own turn, since a client that asks for
    /// both types would otherwise move each by two.
    pub v6: Ring<Ipv6Addr>,
}

/// The addresses of one RRset in ascending order, without duplicates, and the next turn.
#[derive(Debug)]
pub struct Ring<T> {
    addresses: Box<[T]>,
    /// Where it began.
    start: usize,
    /// Where it began, and one more for each answer.
    turn: AtomicUsize,
    /// The address that the last answer before its first one began with.
    before: Option<T>,
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
        network: NetworkId,
        network_name: Arc<str>,
        mut members: Vec<Member>,
        health: Health,
        previous: Option<&Self>,
    ) -> Self {
        members.sort_by(|a, b| (a.v4, a.v6, &a.name).cmp(&(b.v4, b.v6, &b.name)));
        Self {
            v4: Ring::following(health.pick(&members, |m| m.v4), previous.map(|set| &set.v4)),
            v6: Ring::following(health.pick(&members, |m| m.v6), previous.map(|set| &set.v6)),
            owner,
            network,
            network_name,
            members: members.into(),
        }
    }
}

impl RecordSet {
    /// The same members under another policy.
    #[must_use]
    pub fn with_health(&self, health: Health) -> Self {
        let (owner, network) = (self.owner.clone(), self.network.clone());
        let members = self.members.to_vec();
        Self::new(owner, network, self.network_name.clone(), members, health, Some(self))
    }

    /// Whether answers have this member; health may leave it out.
    #[must_use]
    pub fn answers(&self, member: &Member) -> bool {
        member.v4.is_some_and(|v4| self.v4.addresses().contains(&v4))
            || member.v6.is_some_and(|v6| self.v6.addresses().contains(&v6))
    }
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

impl Health {
    /// The addresses of one family that may be answered.
    fn pick<T>(self, members: &[Member], address: impl Fn(&Member) -> Option<T>) -> Vec<T> {
        let ranked = || members.iter().filter_map(|m| Some((m.condition.rank(), address(m)?)));
        let worst = match self {
            Self::Ignore => super::Rank::Unfit,
            Self::Require => super::Rank::Ready,
            Self::Prefer => match ranked().map(|(rank, _)| rank).min() {
                Some(best) => best,
                None => return Vec::new(),
            },
        };
        ranked().filter(|(rank, _)| *rank <= worst).map(|(_, address)| address).collect()
    }
}

impl<T: Copy + Ord> Ring<T> {
    /// A ring that has answered nothing.
    #[must_use]
    pub fn new(addresses: Vec<T>) -> Self {
        Self::following(addresses, None)
    }

    /// A ring that starts with the first address after the last one that `previous` answered
    /// first: a change of members then repeats none and skips none.
    fn following(mut addresses: Vec<T>, previous: Option<&Self>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        let before = previous.and_then(Self::last_first);
        let after = |last| addresses.partition_point(|address| *address <= last);
        let start = before.map_or(0, after);
        Self { addresses: addresses.into(), start, turn: AtomicUsize::new(start), before }
    }

    /// The addresses, beginning with the one whose turn it is; each call moves on by one.
    ///
    /// One atomic add is the whole agreement between threads, so n calls begin with each of k
    /// addresses n/k times, rounded up or down, whoever makes them.
    #[must_use]
    pub fn rotate(&self) -> Vec<T> {
        if self.addresses.is_empty() {
            return Vec::new();
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.addresses.len();
        let (after, from) = self.addresses.split_at(first);
        [from, after].concat()
    }

    /// The addresses in ascending order; takes no turn.
    #[must_use]
    pub fn addresses(&self) -> &[T] {
        &self.addresses
    }

    /// The address that the last answer began with, of this ring or of one before it.
    fn last_first(&self) -> Option<T> {
        let turn = self.turn.load(Ordering::Relaxed);
        if turn == self.start {
            return self.before;
        }
        let last = turn.wrapping_sub(1).checked_rem(self.addresses.len())?;
        self.addresses.get(last).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, ContainerId};
    use super::*;

    fn firsts(ring: &Ring<u8>, n: usize) -> Vec<u8> {
        (0..n).map(|_| ring.rotate()[0]).collect()
    }

    #[test]
    fn each_answer_starts_one_further() {
        let ring = Ring::new(vec![3, 1, 2, 2]);
        assert_eq!(ring.rotate(), [1, 2, 3]);
        assert_eq!(ring.rotate(), [2, 3, 1]);
        assert_eq!(ring.rotate(), [3, 1, 2]);
        assert_eq!(ring.rotate(), [1, 2, 3]);
        assert!(Ring::<u8>::new(vec![]).rotate().is_empty());
    }

    #[test]
    fn a_change_of_members_neither_repeats_nor_skips() {
        let three = Ring::new(vec![1, 3, 5]);
        assert_eq!(firsts(&three, 2), [1, 3]);
        let with_four = Ring::following(vec![1, 3, 4, 5], Some(&three));
        assert_eq!(firsts(&with_four, 5), [4, 5, 1, 3, 4]);
        let without_four = Ring::following(vec![1, 3, 5], Some(&with_four));
        assert_eq!(firsts(&without_four, 2), [5, 1]);
    }

    /// A restarted container leaves and comes back; that must cost nobody a turn.
    #[test]
    fn changes_without_a_question_between_them_keep_the_place() {
        let three = Ring::new(vec![1, 2, 3]);
        assert_eq!(firsts(&three, 3), [1, 2, 3]);
        let without_three = Ring::following(vec![1, 2], Some(&three));
        let again = Ring::following(vec![1, 2, 3], Some(&without_three));
        assert_eq!(firsts(&again, 2), [1, 2]);
        let empty = Ring::following(vec![], Some(&again));
        assert!(empty.rotate().is_empty());
        let back = Ring::following(vec![1, 2, 3], Some(&empty));
        assert_eq!(firsts(&back, 2), [3, 1]);
    }

    #[test]
    fn prefer_never_empties_a_set_and_require_may() {
        let member = |last: u8, condition| Member {
            container: ContainerId(format!("{last:064}").into()),
            name: format!("c{last}").into(),
            host: super::super::Name::root(),
            source: super::super::NameSource::Alias,
            v4: Some(Ipv4Addr::new(10, 0, 0, last)),
            v6: None,
            through_host: false,
            condition,
            ports: [].into(),
        };
        let all = [
            member(1, Condition::Running),
            member(2, Condition::Healthy),
            member(3, Condition::Starting),
            member(4, Condition::Unhealthy),
            member(5, Condition::Paused),
        ];
        let pick = |health: Health, members: &[Member]| -> Vec<u8> {
            health.pick(members, |m| m.v4).iter().map(|a| a.octets()[3]).collect()
        };
        assert_eq!(pick(Health::Prefer, &all), [1, 2]);
        assert_eq!(pick(Health::Prefer, &all[2..]), [3]);
        assert_eq!(pick(Health::Prefer, &all[3..]), [4, 5]);
        assert_eq!(pick(Health::Require, &all), [1, 2]);
        assert_eq!(pick(Health::Require, &all[2..]), [0u8; 0]);
        assert_eq!(pick(Health::Ignore, &all), [1, 2, 3, 4, 5]);
    }
}
