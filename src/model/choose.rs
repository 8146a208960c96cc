//! Choosing the addresses of one answer from a ring, as a selection says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Answers, Order, Ring, Selection};

/// Who asks, as far as it matters to the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The source address of the question.
    pub address: IpAddr,
    /// The client's own IPv4 address on the network of the answer, if it is a container there.
    pub v4: Option<Ipv4Addr>,
    /// Likewise its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// A number drawn by chance, for `shuffle`.
    pub chance: u64,
    /// How many octets of records the reply has room for.
    pub room: usize,
}

/// An address family whose addresses can be compared bit by bit.
pub trait Address: Copy + Ord {
    /// Octets of its record in a reply, whose owner is a pointer to a name already there
    /// (RFC 1035 section 4.1.4): 12, and the address.
    const RECORD: usize;
    /// The address as a number, most significant bit first, in the high bits.
    fn bits(self) -> u128;
    /// The asker's own address of this family.
    fn of(asker: &Asker) -> Option<Self>;
}

/// Puts the addresses of one answer into `out`, in the order to send.
///
/// Where not everybody is asked for by `all`, a large set gives no more than the reply has room
/// for: the next so many, rather than a truncated reply and the question once more over TCP.
pub fn choose<T: Address>(
    ring: &Ring<T>,
    selection: Selection,
    clients_sort: bool,
    asker: &Asker,
    out: &mut Vec<T>,
) {
    out.clear();
    let fit = (asker.room / T::RECORD).max(1);
    let most = match selection.answers {
        Answers::All => usize::MAX,
        Answers::Count(_) | Answers::Auto | Answers::Sortproof => count(selection).min(fit),
    };
    let sorts = sorts(selection, clients_sort);
    // What a client would sort is thinned out first, and cut to size then.
    let take = if sorts { usize::MAX } else { most };
    let health = selection.health;
    match selection.order {
        Order::Rotate => out.extend(ring.rotate(health).take(take)),
        Order::Weighted => out.extend(ring.weighted(health).take(take)),
        Order::Shuffle => {
            let shuffled = ring.by(health, |address| mix(asker.chance, address.bits()));
            out.extend(shuffled.into_iter().take(take));
        }
        Order::Sticky => {
            let client = match asker.address.to_canonical() {
                IpAddr::V4(v4) => v4.bits(),
                IpAddr::V6(v6) => v6.bits(),
            };
            let key = mix(0, client);
            let ranked = ring.by(health, |address| mix(key, address.bits()));
            out.extend(ranked.into_iter().take(take));
        }
    }
    if sorts {
        sortproof(out, T::of(asker));
        out.truncate(most);
    }
}

/// What an answer is whose addresses begin with the next one of the ring and go on once around, as
/// long as there is room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainTurn {
    /// Only those remain that [`remains`] says.
    pub sorts: bool,
    /// So many at most.
    pub most: usize,
}

/// Whether an answer by this selection is such a one. None: it takes more than that.
#[must_use]
pub fn plain_turn(selection: Selection, clients_sort: bool) -> Option<PlainTurn> {
    let plain = selection.order == Order::Rotate;
    plain.then(|| PlainTurn { sorts: sorts(selection, clients_sort), most: count(selection) })
}

fn count(selection: Selection) -> usize {
    match selection.answers {
        Answers::Count(count) => usize::from(count.get()),
        Answers::All | Answers::Auto | Answers::Sortproof => usize::MAX,
    }
}

fn sorts(selection: Selection, clients_sort: bool) -> bool {
    match selection.answers {
        Answers::Auto => clients_sort,
        answers => answers == Answers::Sortproof,
    }
}

/// Keeps what remains in the answer to a client that sorts.
fn sortproof<T: Address>(addresses: &mut Vec<T>, own: Option<T>) {
    let Some(first) = addresses.first().map(|first| first.bits()) else { return };
    let own = own.map(T::bits);
    addresses.retain(|address| remains(address.bits(), first, own));
}

/// Whether an address remains in an answer that begins with `first`, to a client that sorts and
/// whose own address is `own`, all by their [`Address::bits`]: the first one does, and those that a
/// stable sort by RFC 6724 section 6, rule 9, leaves behind it, with no longer a prefix in common
/// with the client's own address. Without that address (the question came through a forwarder or
/// NAT) only the first is sure.
#[must_use]
pub fn remains(address: u128, first: u128, own: Option<u128>) -> bool {
    match own {
        Some(own) => (address ^ own).leading_zeros() <= (first ^ own).leading_zeros(),
        None => address == first,
    }
}

/// A number that looks like chance, from two others (the finalizer of `splitmix64`).
fn mix(key: u64, bits: u128) -> u64 {
    let fold = |state: u64, word: u64| {
        let mut x = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)];
    let word = |half: u128| u64::try_from(half).unwrap_or(u64::MAX);
    fold(fold(key, word(high)), word(low))
}

impl Address for Ipv4Addr {
    const RECORD: usize = 16;

    fn bits(self) -> u128 {
        u128::from(u32::from(self)) << 96
    }

    fn of(asker: &Asker) -> Option<Self> {
        asker.v4
    }
}

impl Address for Ipv6Addr {
    const RECORD: usize = 28;

    fn bits(self) -> u128 {
        self.into()
    }

    fn of(asker: &Asker) -> Option<Self> {
        asker.v6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn asker(address: [u8; 4]) -> Asker {
        let v4 = Ipv4Addr::from(address);
        Asker { address: v4.into(), v4: Some(v4), v6: None, chance: 0, room: usize::MAX }
    }

    fn ring(last: impl IntoIterator<Item = u8>) -> Ring<Ipv4Addr> {
        Ring::new(last.into_iter().map(|last| Ipv4Addr::new(10, 0, 0, last)).collect())
    }

    fn selection(order: Order, answers: Answers) -> Selection {
        Selection { order, answers, ..Selection::default() }
    }

    fn chosen(
        ring: &Ring<Ipv4Addr>,
        selection: Selection,
        clients_sort: bool,
        asker: &Asker,
    ) -> Vec<Ipv4Addr> {
        let mut out = Vec::new();
        choose(ring, selection, clients_sort, asker, &mut out);
        out
    }

    fn last(addresses: &[Ipv4Addr]) -> Vec<u8> {
        addresses.iter().map(|address| address.octets()[3]).collect()
    }

    /// RFC 6724 rule 9 as glibc and musl apply it: a stable sort by the common prefix.
    fn sorted_by_client(mut addresses: Vec<Ipv4Addr>, own: Ipv4Addr) -> Vec<Ipv4Addr> {
        let common = |a: &Ipv4Addr| (a.bits() ^ own.bits()).leading_zeros();
        addresses.sort_by_key(|address| std::cmp::Reverse(common(address)));
        addresses
    }

    #[test]
    fn a_client_that_sorts_spreads_evenly_by_sortproof_and_not_by_all() {
        let client = asker([10, 0, 0, 7]);
        let spread = |answers: Answers| {
            let ring = ring(2..7);
            let mut firsts = HashMap::new();
            for _ in 0..300 {
                let answer = chosen(&ring, selection(Order::Rotate, answers), true, &client);
                let first = sorted_by_client(answer, Ipv4Addr::new(10, 0, 0, 7))[0];
                *firsts.entry(first).or_insert(0) += 1;
            }
            let mut counts: Vec<i32> = firsts.into_values().collect();
            counts.sort_unstable();
            counts
        };
        assert_eq!(spread(Answers::Sortproof), [60; 5]);
        assert_eq!(spread(Answers::Auto), [60; 5]);
        assert_eq!(spread(Answers::All), [300], "all go to one");
    }

    #[test]
    fn fallbacks_remain_where_a_sort_leaves_them_behind() {
        let rotate = selection(Order::Rotate, Answers::Sortproof);
        let (ring, client) = (ring([2, 3, 64]), asker([10, 0, 0, 5]));
        let answers: Vec<_> = (0..3).map(|_| last(&chosen(&ring, rotate, true, &client))).collect();
        // .2 and .3 share 29 bits with .5, .64 shares 25: alone it would be sorted behind them.
        assert_eq!(answers, [vec![2, 3, 64], vec![3, 64, 2], vec![64]]);
    }

    #[test]
    fn without_the_clients_own_address_only_the_first_is_sure() {
        let stranger = Asker { v4: None, ..asker([192, 168, 0, 1]) };
        let rotate = selection(Order::Rotate, Answers::Sortproof);
        assert_eq!(chosen(&ring(2..7), rotate, true, &stranger).len(), 1);
        let auto = selection(Order::Rotate, Answers::Auto);
        assert_eq!(chosen(&ring(2..7), auto, false, &stranger).len(), 5, "nobody sorts");
    }

    #[test]
    fn a_number_of_answers_is_the_next_so_many() {
        let two = selection(Order::Rotate, Answers::Count(2.try_into().unwrap()));
        let (ring, client) = (ring(1..4), asker([10, 0, 0, 9]));
        let answers: Vec<_> = (0..3).map(|_| last(&chosen(&ring, two, true, &client))).collect();
        assert_eq!(answers, [[1, 2], [2, 3], [3, 1]]);
    }

    #[test]
    fn a_large_set_gives_the_next_so_many_that_fit_unless_all_are_asked_for() {
        let (ring, client) = (ring(1..6), Asker { room: 2 * 16 + 15, ..asker([10, 0, 0, 9]) });
        let rotate = |answers| selection(Order::Rotate, answers);
        let answers: Vec<_> =
            (0..3).map(|_| last(&chosen(&ring, rotate(Answers::Auto), false, &client))).collect();
        assert_eq!(answers, [[1, 2], [2, 3], [3, 4]]);
        assert_eq!(chosen(&ring, rotate(Answers::All), false, &client).len(), 5);
        let none = Asker { room: 0, ..client };
        assert_eq!(chosen(&ring, rotate(Answers::Auto), false, &none).len(), 1, "never nobody");
    }

    #[test]
    fn a_sticky_client_keeps_its_backend_and_few_move_to_a_new_one() {
        let sticky = selection(Order::Sticky, Answers::All);
        let first = |ring: &Ring<Ipv4Addr>, n: u32| {
            let client = asker((0xac10_0000 + n).to_be_bytes());
            chosen(ring, sticky, false, &client)[0]
        };
        let (four, five) = (ring(1..5), ring(1..6));
        let mut moved = 0;
        let mut by_backend = HashMap::new();
        for n in 0..10_000 {
            let before = first(&four, n);
            assert_eq!(before, first(&four, n), "the same each time");
            *by_backend.entry(before).or_insert(0) += 1;
            let after = first(&five, n);
            moved += usize::from(before != after);
            assert!(before == after || after == Ipv4Addr::new(10, 0, 0, 5), "only to the new one");
        }
        assert!((1_900..=2_100).contains(&moved), "about a fifth moved: {moved}");
        assert!(by_backend.values().all(|n| (2_350..=2_650).contains(n)), "{by_backend:?}");
    }

    #[test]
    fn chance_shuffles_and_keeps_everyone() {
        let shuffle = selection(Order::Shuffle, Answers::All);
        let ring = ring(1..4);
        let orders: HashSet<_> = (0..200)
            .map(|chance| {
                let client = Asker { chance, ..asker([10, 0, 0, 9]) };
                last(&chosen(&ring, shuffle, false, &client))
            })
            .collect();
        assert_eq!(orders.len(), 6, "every order of three comes up: {orders:?}");
    }
}
