//! `Ring`: the addresses of one RRset, and whose turn it is.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Health, Rank, Turn, Turns};

/// The addresses of one RRset in ascending order, each once, and the next turn.
#[derive(Debug)]
pub struct Ring<T> {
    /// Where it began, as an index.
    start: u32,
    hub: Hub<T>,
    /// Which spokes are answered unless a question says otherwise; the turn is handed over by it.
    health: Health,
    /// Whether each comes first as often as its weight says, unless a question says otherwise.
    weighted: bool,
}

/// What turns. Most names are one container's own, and have one address.
#[derive(Debug)]
enum Hub<T> {
    /// There is nothing to count but whether it has answered.
    One {
        spoke: Option<Spoke<T>>,
        before: Option<T>,
        answered: AtomicBool,
    },
    Many(Box<Wheel<T>>),
}

#[derive(Debug)]
struct Wheel<T> {
    /// The address that the last answer before the ring's first one began with; likewise above.
    before: Option<T>,
    spokes: Box<[Spoke<T>]>,
    /// Where it began, and one more for each answer.
    turn: Turn,
    /// Those that are answered under the ring's health policy, ready, so that an answer allocates
    /// nothing. None: all of them.
    fit: Option<Box<[Spoke<T>]>>,
    /// Who comes first in a weighted order, computed when it is asked for.
    schedule: OnceLock<Schedule>,
}

/// One address of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spoke<T> {
    /// The address.
    pub address: T,
    /// How its endpoint is preferred.
    pub rank: Rank,
    /// How often it comes first, in proportion to the others'.
    pub weight: u8,
}

/// Which spoke comes first, answer by answer, until it repeats.
#[derive(Clone, Debug)]
struct Schedule(Box<[usize]>);

/// Answers that a weighted order takes until it repeats, times addresses: weights are scaled down
/// until it fits.
const MAX_SCHEDULE: usize = 1 << 16;

impl<T: Copy + Ord> Ring<T> {
    /// A ring of equal addresses that has answered nothing.
    #[must_use]
    pub fn new(addresses: Vec<T>) -> Self {
        let equal = |address| Spoke { address, rank: Rank::Ready, weight: 1 };
        let spokes = addresses.into_iter().map(equal).collect();
        Self::following(spokes, Health::Ignore, false, None, &mut Turns::new())
    }

    /// A ring that starts with the first address after the last one that `previous` answered
    /// first: a change of members then repeats none and skips none.
    #[must_use]
    pub fn following(
        mut spokes: Vec<Spoke<T>>,
        health: Health,
        weighted: bool,
        previous: Option<&Self>,
        turns: &mut Turns,
    ) -> Self {
        // Of two endpoints with one address the better one stands for it.
        spokes.sort_unstable();
        spokes.dedup_by_key(|spoke| spoke.address);
        let before = previous.and_then(Self::last_first);
        let hub = Hub::of(spokes, health, before, turns);
        let mut ring = Self { start: 0, hub, health, weighted };
        if let (Some(last), Some(turn)) = (before, ring.turn()) {
            let start = ring.turn_after(last);
            turn.set(start);
            // No set has more addresses than 32 bits can count.
            ring.start = u32::try_from(start).unwrap_or(0);
        }
        ring
    }

    /// The addresses that may be answered under a health policy, in ascending order.
    #[must_use]
    pub fn addresses(&self, health: Health) -> Vec<T> {
        self.fit(health).iter().map(|spoke| spoke.address).collect()
    }

    /// The addresses that are answered unless a question says otherwise.
    #[must_use]
    pub fn fit_addresses(&self) -> Vec<T> {
        self.addresses(self.health)
    }

    /// Whether there is no address at all, fit or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spokes().is_empty()
    }

    /// The fit addresses, beginning with the one whose turn it is; each call moves on by one.
    ///
    /// So n calls begin with each of k addresses n/k times, rounded up or down, whoever makes
    /// them.
    pub fn rotate(&self, health: Health) -> impl Iterator<Item = T> + use<'_, T> {
        let fit = self.fit(health);
        let first = if fit.is_empty() { 0 } else { self.take_turn() % fit.len() };
        Walk::from(fit, first)
    }

    /// The same, but each begins as often as its weight says.
    pub fn weighted(&self, health: Health) -> impl Iterator<Item = T> + use<'_, T> {
        let fit = self.fit(health);
        let Schedule(schedule) = &*self.schedule(&fit, health);
        let first =
            if schedule.is_empty() { 0 } else { schedule[self.take_turn() % schedule.len()] };
        Walk::from(fit, first)
    }

    /// The fit addresses in an order that `rank` gives, highest first; takes no turn.
    #[must_use]
    pub fn by(&self, health: Health, mut rank: impl FnMut(T) -> u64) -> Vec<T> {
        let mut addresses = self.addresses(health);
        addresses.sort_by_cached_key(|address| std::cmp::Reverse(rank(*address)));
        addresses
    }

    /// The counter of the turns: in a rotation of k addresses the one at `count % k` is the next
    /// to come first. None: there are no two addresses that could take turns, and after the first
    /// answer there is nothing to count.
    #[must_use]
    pub fn turn(&self) -> Option<&Turn> {
        match &self.hub {
            Hub::One { .. } => None,
            Hub::Many(wheel) => Some(&wheel.turn),
        }
    }

    fn take_turn(&self) -> usize {
        match &self.hub {
            Hub::One { answered, .. } => {
                // Written once only: others read what is beside it.
                if !answered.load(Ordering::Relaxed) {
                    answered.store(true, Ordering::Relaxed);
                }
                0
            }
            Hub::Many(wheel) => wheel.turn.take(),
        }
    }

    fn start(&self) -> usize {
        usize::try_from(self.start).unwrap_or(0)
    }

    fn spokes(&self) -> &[Spoke<T>] {
        match &self.hub {
            Hub::One { spoke, .. } => spoke.as_slice(),
            Hub::Many(wheel) => &wheel.spokes,
        }
    }

    fn fit(&self, health: Health) -> Cow<'_, [Spoke<T>]> {
        match &self.hub {
            // Alone it is the best there is.
            Hub::One { spoke, .. } if health != Health::Require => Cow::Borrowed(spoke.as_slice()),
            Hub::One { spoke, .. } => {
                let ready = spoke.as_ref().filter(|spoke| spoke.rank == Rank::Ready);
                Cow::Borrowed(ready.map_or(&[], std::slice::from_ref))
            }
            Hub::Many(wheel) if health == self.health => {
                Cow::Borrowed(wheel.fit.as_deref().unwrap_or(&wheel.spokes))
            }
            Hub::Many(wheel) => Cow::Owned(fit(&wheel.spokes, health)),
        }
    }

    /// The schedule of those that are fit under a health policy.
    fn schedule(&self, fit: &[Spoke<T>], health: Health) -> Cow<'_, Schedule> {
        match &self.hub {
            Hub::Many(wheel) if health == self.health => {
                Cow::Borrowed(wheel.schedule.get_or_init(|| Schedule::of(fit)))
            }
            _ => Cow::Owned(Schedule::of(fit)),
        }
    }

    /// The address that the last answer began with, of this ring or of one before it.
    fn last_first(&self) -> Option<T> {
        let fit = self.fit(self.health);
        let wheel = match &self.hub {
            Hub::One { before, answered, .. } if !answered.load(Ordering::Relaxed) => {
                return *before;
            }
            Hub::One { .. } => return fit.first().map(|spoke| spoke.address),
            Hub::Many(wheel) => wheel,
        };
        let turn = wheel.turn.get();
        if turn == self.start() {
            return wheel.before;
        }
        let last = turn.wrapping_sub(1);
        let last = if self.weighted {
            let Schedule(schedule) = &*self.schedule(&fit, self.health);
            *schedule.get(last.checked_rem(schedule.len())?)?
        } else {
            last.checked_rem(fit.len())?
        };
        fit.get(last).map(|spoke| spoke.address)
    }

    /// The turn in which the first address after this one comes first.
    fn turn_after(&self, last: T) -> usize {
        let fit = self.fit(self.health);
        let next = fit.partition_point(|spoke| spoke.address <= last);
        if !self.weighted {
            return next;
        }
        let next = if next == fit.len() { 0 } else { next };
        let Schedule(schedule) = &*self.schedule(&fit, self.health);
        schedule.iter().position(|spoke| *spoke == next).unwrap_or(0)
    }
}

impl<T: Copy> Hub<T> {
    fn of(spokes: Vec<Spoke<T>>, health: Health, before: Option<T>, turns: &mut Turns) -> Self {
        if spokes.len() < 2 {
            let spoke = spokes.into_iter().next();
            return Self::One { spoke, before, answered: AtomicBool::new(false) };
        }
        let fit = fit(&spokes, health);
        Self::Many(Box::new(Wheel {
            before,
            turn: turns.give(),
            fit: (fit.len() < spokes.len()).then(|| fit.into()),
            spokes: spokes.into(),
            schedule: OnceLock::new(),
        }))
    }
}

/// The spokes that are answered under a health policy.
fn fit<T: Copy>(spokes: &[Spoke<T>], health: Health) -> Vec<Spoke<T>> {
    let worst = match health {
        Health::Ignore => Some(Rank::Unfit),
        Health::Require => Some(Rank::Ready),
        Health::Prefer => spokes.iter().map(|spoke| spoke.rank).min(),
    };
    let fits = |spoke: &&Spoke<T>| worst.is_some_and(|worst| spoke.rank <= worst);
    spokes.iter().filter(fits).copied().collect()
}

/// Once around, from any spoke on.
struct Walk<'a, T: Copy> {
    spokes: Cow<'a, [Spoke<T>]>,
    next: usize,
    left: usize,
}

impl<'a, T: Copy> Walk<'a, T> {
    fn from(spokes: Cow<'a, [Spoke<T>]>, first: usize) -> Self {
        Self { next: first, left: spokes.len(), spokes }
    }
}

impl<T: Copy> Iterator for Walk<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let address = self.spokes[self.next].address;
        self.next = if self.next + 1 == self.spokes.len() { 0 } else { self.next + 1 };
        Some(address)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl Schedule {
    /// Smooth weighted round robin. Each time the one furthest behind its share is taken, so that
    /// 5, 1 and 1 give a a b a c a a.
    fn of<T>(spokes: &[Spoke<T>]) -> Self {
        let mut weights: Vec<i64> = spokes.iter().map(|spoke| i64::from(spoke.weight)).collect();
        let divisor = weights.iter().copied().reduce(gcd).unwrap_or(1).max(1);
        for weight in &mut weights {
            *weight /= divisor;
        }
        let total = |weights: &[i64]| usize::try_from(weights.iter().sum::<i64>()).unwrap_or(0);
        while total(&weights) * weights.len() > MAX_SCHEDULE && weights.iter().any(|w| *w > 1) {
            for weight in &mut weights {
                *weight = (*weight / 2).max(1);
            }
        }
        let all = weights.iter().sum::<i64>();
        let mut behind = vec![0; weights.len()];
        let next = |_| {
            behind.iter_mut().zip(&weights).for_each(|(behind, weight)| *behind += weight);
            let furthest =
                (0..behind.len()).max_by_key(|index| (behind[*index], usize::MAX - index))?;
            behind[furthest] -= all;
            Some(furthest)
        };
        Self((0..total(&weights)).filter_map(next).collect())
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firsts(ring: &Ring<u8>, n: usize) -> Vec<u8> {
        (0..n).filter_map(|_| ring.rotate(Health::Ignore).next()).collect()
    }

    fn next(addresses: Vec<u8>, previous: &Ring<u8>) -> Ring<u8> {
        let equal = |address| Spoke { address, rank: Rank::Ready, weight: 1 };
        let spokes = addresses.into_iter().map(equal).collect();
        Ring::following(spokes, Health::Ignore, false, Some(previous), &mut Turns::new())
    }

    fn turn(ring: &Ring<u8>) -> Vec<u8> {
        ring.rotate(ring.health).collect()
    }

    #[test]
    fn each_answer_starts_one_further() {
        let ring = Ring::new(vec![3, 1, 2, 2]);
        assert_eq!(turn(&ring), [1, 2, 3]);
        assert_eq!(turn(&ring), [2, 3, 1]);
        assert_eq!(turn(&ring), [3, 1, 2]);
        assert_eq!(turn(&ring), [1, 2, 3]);
        assert!(turn(&Ring::new(vec![])).is_empty());
    }

    #[test]
    fn a_change_of_members_neither_repeats_nor_skips() {
        let three = Ring::new(vec![1, 3, 5]);
        assert_eq!(firsts(&three, 2), [1, 3]);
        let with_four = next(vec![1, 3, 4, 5], &three);
        assert_eq!(firsts(&with_four, 5), [4, 5, 1, 3, 4]);
        let without_four = next(vec![1, 3, 5], &with_four);
        assert_eq!(firsts(&without_four, 2), [5, 1]);
    }

    /// A restarted container leaves and comes back; that must cost nobody a turn.
    #[test]
    fn changes_without_a_question_between_them_keep_the_place() {
        let three = Ring::new(vec![1, 2, 3]);
        assert_eq!(firsts(&three, 3), [1, 2, 3]);
        let without_three = next(vec![1, 2], &three);
        let again = next(vec![1, 2, 3], &without_three);
        assert_eq!(firsts(&again, 2), [1, 2]);
        let empty = next(vec![], &again);
        assert!(turn(&empty).is_empty());
        let back = next(vec![1, 2, 3], &empty);
        assert_eq!(firsts(&back, 2), [3, 1]);
    }

    #[test]
    fn a_single_address_hands_on_the_place_too() {
        let three = Ring::new(vec![1, 3, 5]);
        assert_eq!(firsts(&three, 2), [1, 3]);
        let silent = next(vec![1], &three);
        assert_eq!(firsts(&next(vec![1, 3, 5], &silent), 1), [5], "1 was not asked for");
        let asked = next(vec![3], &three);
        assert_eq!(firsts(&asked, 4), [3, 3, 3, 3]);
        assert_eq!(firsts(&next(vec![1, 3, 5], &asked), 1), [5]);
        let asked = next(vec![1], &three);
        assert_eq!(firsts(&asked, 1), [1]);
        assert_eq!(firsts(&next(vec![1, 3, 5], &asked), 1), [3]);
    }

    fn ranked(ranks: &[Rank]) -> Ring<u8> {
        let spoke = |(address, rank): (u8, &Rank)| Spoke { address, rank: *rank, weight: 1 };
        let spokes = (1..).zip(ranks).map(spoke).collect();
        Ring::following(spokes, Health::Prefer, false, None, &mut Turns::new())
    }

    #[test]
    fn prefer_never_empties_a_set_and_require_may() {
        let all = [Rank::Ready, Rank::Ready, Rank::Starting, Rank::Unfit, Rank::Unfit];
        assert_eq!(ranked(&all).addresses(Health::Prefer), [1, 2]);
        assert_eq!(ranked(&all[2..]).addresses(Health::Prefer), [1]);
        assert_eq!(ranked(&all[3..]).addresses(Health::Prefer), [1, 2]);
        assert_eq!(ranked(&all).addresses(Health::Require), [1, 2]);
        assert!(ranked(&all[2..]).addresses(Health::Require).is_empty());
        assert_eq!(ranked(&all).addresses(Health::Ignore), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn weights_interleave_and_are_kept_exactly() {
        let spoke = |(address, weight)| Spoke { address, rank: Rank::Ready, weight };
        let weighted = |weights: &[u8]| {
            let spokes = ('a'..).zip(weights.iter().copied()).map(spoke).collect();
            Ring::following(spokes, Health::Prefer, true, None, &mut Turns::new())
        };
        let first = |ring: &Ring<char>| ring.weighted(Health::Prefer).next();
        let ring = weighted(&[5, 1, 1]);
        let once: String = (0..7).filter_map(|_| first(&ring)).collect();
        assert_eq!(once, "aabacaa");
        let many: String = (0..700).filter_map(|_| first(&ring)).collect();
        assert_eq!(["a", "b", "c"].map(|c| many.matches(c).count()), [500, 100, 100]);
        // Thousands of heavy addresses are scaled down, not waited for.
        let heavy: Vec<u8> = (0..200).map(|n| 200 + n % 2).collect();
        assert!(weighted(&heavy).weighted(Health::Prefer).next().is_some());
    }

    /// The turn was taken for that of a ring without weights, and the new ring began anywhere.
    #[test]
    fn a_change_of_weighted_members_goes_on_behind_the_last_one() {
        let spoke = |(address, weight)| Spoke { address, rank: Rank::Ready, weight };
        let ring = |spokes: &[(char, u8)], previous: Option<&Ring<char>>| {
            let spokes = spokes.iter().copied().map(spoke).collect();
            Ring::following(spokes, Health::Prefer, true, previous, &mut Turns::new())
        };
        let take = |ring: &Ring<char>, n: usize| -> String {
            (0..n).filter_map(|_| ring.weighted(Health::Prefer).next()).collect()
        };
        let three = ring(&[('a', 5), ('b', 1), ('c', 1)], None);
        assert_eq!(take(&three, 5), "aabac");
        let four = ring(&[('a', 5), ('b', 1), ('c', 1), ('d', 1)], Some(&three));
        assert_eq!(take(&four, 1), "d", "behind c, which was the last one");
        let two = ring(&[('a', 5), ('c', 1)], Some(&four));
        assert_eq!(take(&two, 6).matches('a').count(), 5);
    }
}
