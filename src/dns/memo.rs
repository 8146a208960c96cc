//! `Memo`: answers that one thread can give again without a look-up.
//!
//! Nearly all questions are asked again and again. For those the decision is kept but for whose
//! turn it is, with the stamp of what it depended on; a change in the directory outdates exactly
//! the answers that it may concern. What is given again is octet for octet what a look-up would
//! give.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::mem::discriminant;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::answer::Again;
use super::encode::{RECORD, plain_opt};
use super::request::{HEADER, Request, flag};
use super::respond::room;
use crate::directory::{Reader, Stamp};
use crate::model::{Address, Asker, Draw, Name, Order, PlainTurn, Selection, Turn, remains};

/// Answers kept by one thread, of about 220 octets each: three quarters of a table of 32,768
/// places. Beyond that each new one takes the place of any other, so that of a few more than fit
/// most are still found, in whatever order they are asked.
const ANSWERS: usize = 24_576;
/// Clients known to one thread. When it is full it starts anew: those that ask often come back at
/// once.
const CLIENTS: usize = 4_096;
/// Octets of an answer that is kept as it is, and of the addresses of one.
const MAX_REPEATED: usize = 512;
/// Octets of key and answer that are kept without an allocation of their own: those of a name of
/// 30 octets with four addresses.
const NEAR: usize = 64;

const TYPE_A: u16 = 1;

/// The memory, and room for one answer.
pub(super) struct Memo {
    directory: Reader,
    answers: HashTable<Known>,
    hasher: RandomState,
    clients: HashMap<IpAddr, KnownClient, RandomState>,
    /// The client that asked last: many questions in a row are one client's.
    last: Option<(IpAddr, Who)>,
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
}

/// What has been given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Data.
    Data,
    /// NODATA.
    NoData,
}

/// Whether and as whom a client is answered.
#[derive(Clone, Copy)]
pub(super) struct Who {
    pub(super) admitted: bool,
    /// The generation of the directory in which that was known.
    pub(super) generation: usize,
    /// [`Stamp::client`] of that time.
    epoch: usize,
    /// The client's address if it is a container; all others see the same.
    container: Option<IpAddr>,
}

struct KnownClient {
    stamp: Stamp,
    who: Who,
}

/// What matters of the OPT record of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opt {
    Absent,
    Plain,
    WithDo,
}

/// All that answers are given for, of the requests that are read together: the question in lower
/// case, OPT, and who asks, one behind the other.
#[derive(Debug, Default)]
pub struct Keys(Vec<u8>);

/// What a request asks the memory for.
pub(super) struct Wanted {
    /// Where its key is among the others.
    key: Range<usize>,
    hash: u64,
    opt: Opt,
    /// [`Stamp::client`] when it was known who asks.
    epoch: usize,
}

/// An answer, found by its key. Thousands of names are asked, and fetching what is kept of
/// each into the processor's cache is half of its cost: so all that is needed to give it is one
/// piece of two neighbouring lines of that cache, and the rest is elsewhere.
#[repr(align(64))]
struct Known {
    /// The key, and behind it the addresses of a turn, or the octets that are repeated.
    octets: SmallVec<[u8; NEAR]>,
    /// Octets of the key.
    key: u16,
    /// The generation of the directory in which the stamp was last seen to be current.
    seen: Cell<usize>,
    given: How,
    /// What it depended on. It is looked at when something has changed.
    stamp: Box<Stamp>,
}

enum How {
    /// The kept addresses, which are all of a set in the ring's order, from the one whose turn it
    /// is once around, so many at most.
    Turn { most: u16, ttl: u32, turn: Option<Turn> },
    /// The same, but only what the client would sort behind the first one. Its own address is kept
    /// behind the others, if it is known.
    Sorted { most: u16, ttl: u32, own: bool, turn: Option<Turn> },
    /// As the draw says: where a turn is not all that decides, or there was no room for all.
    Draw(Box<(Draw, Asker)>),
    /// The second word of the header, the counts, and the kept octets.
    Octets { aa_and_code: u16, counts: [u16; 3] },
}

/// A reply that is being written.
struct Writing<'a> {
    request: &'a Request<'a>,
    opt: Opt,
    /// Octets that its records may take.
    room: usize,
    out: &'a mut Vec<u8>,
}

impl Memo {
    pub(super) fn new(directory: Reader) -> Self {
        Self {
            directory,
            answers: HashTable::new(),
            hasher: RandomState::default(),
            clients: HashMap::default(),
            last: None,
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }

    /// Who a client is.
    pub(super) fn client(&mut self, address: IpAddr) -> Who {
        // Read first: what changes meanwhile is then seen by the next one.
        let generation = self.directory.generation();
        if let Some((last, who)) = self.last
            && (last, who.generation) == (address, generation)
        {
            return who;
        }
        let who = Who { generation, ..self.looked_up(address) };
        self.last = Some((address, who));
        who
    }

    fn looked_up(&mut self, address: IpAddr) -> Who {
        if let Some(known) = self.clients.get(&address)
            && self.directory.is_current(&known.stamp)
        {
            return known.who;
        }
        let policy = self.directory.policy();
        let stamp = self.directory.client_stamp(address);
        let who = Who {
            admitted: self.directory.admits(address, &policy),
            generation: stamp.generation(),
            epoch: stamp.client(),
            container: self.directory.container_at(address).map(|_| address),
        };
        if self.clients.len() >= CLIENTS {
            self.clients.clear();
        }
        self.clients.insert(address, KnownClient { stamp, who });
        who
    }

    /// What a request of this client asks for; its key is added to the keys. None: it is always
    /// looked up.
    pub(super) fn wanted(
        &self,
        request: &Request,
        client: &Who,
        Keys(keys): &mut Keys,
    ) -> Option<Wanted> {
        let (opt, start) = (plain(request)?, keys.len());
        // Length octets and the small numbers of type and class are no letters.
        keys.extend_from_slice(request.question);
        keys[start..].make_ascii_lowercase();
        keys.push(opt as u8);
        match client.container {
            None => {}
            Some(IpAddr::V4(v4)) => keys.extend(v4.octets()),
            Some(IpAddr::V6(v6)) => keys.extend(v6.octets()),
        }
        let hash = self.hasher.hash_one(&keys[start..]);
        Some(Wanted { key: start..keys.len(), hash, opt, epoch: client.epoch })
    }

    /// Fetches what will be needed for several answers into the processor's cache. Where one
    /// answer alone would wait twice, for what is known of it and for the counter of its turn,
    /// the waits of all of them overlap here: nothing in a loop depends on what the one before it
    /// brings.
    pub(super) fn fetch<'w>(&self, all: impl Iterator<Item = &'w Wanted> + Clone) {
        // A wrong one with the same few bits of its hash is rare, and does no harm.
        let likely = |wanted: &Wanted| self.answers.find(wanted.hash, |_| true);
        for wanted in all.clone() {
            black_box(likely(wanted).map(|known| (known.key, discriminant(&known.given))));
        }
        for wanted in all {
            if let Some(Known {
                given: How::Turn { turn, .. } | How::Sorted { turn, .. },
                octets,
                ..
            }) = likely(wanted)
                && let Some(turn) = turn
            {
                black_box((turn.get(), octets.last().copied()));
            }
        }
    }

    /// Puts the answer into `out`, if it is known.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        wanted: &Wanted,
        keys: &Keys,
        address: IpAddr,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Given> {
        let (key, opt) = (keys.of(wanted)?, wanted.opt);
        let known = self.answers.find(wanted.hash, |known| known.key() == key)?;
        // Read first, as above.
        let generation = self.directory.generation();
        if known.seen.get() != generation {
            if !self.directory.is_current(&known.stamp) {
                return None;
            }
            known.seen.set(generation);
        }
        let room = room(limit, request);
        let mut reply = Writing { request, opt, room, out };
        match &known.given {
            How::Turn { most, ttl, turn } if request.qtype == TYPE_A => {
                reply.around::<4>(known.given(), turn.as_ref(), *most, *ttl)
            }
            How::Turn { most, ttl, turn } => {
                reply.around::<16>(known.given(), turn.as_ref(), *most, *ttl)
            }
            How::Sorted { most, ttl, own, turn } if request.qtype == TYPE_A => {
                reply.sorted::<Ipv4Addr, 4>(known.given(), *own, turn.as_ref(), *most, *ttl)
            }
            How::Sorted { most, ttl, own, turn } => {
                reply.sorted::<Ipv6Addr, 16>(known.given(), *own, turn.as_ref(), *most, *ttl)
            }
            How::Draw(draw) => {
                let (draw, asker) = &**draw;
                let shuffled = draw.selection.order == Order::Shuffle;
                let chance = if shuffled { fastrand::u64(..) } else { 0 };
                let (asker, ttl) = (Asker { address, chance, room, ..*asker }, draw.selection.ttl);
                if request.qtype == TYPE_A {
                    draw.v4(&asker, &mut self.v4);
                    reply.drawn(self.v4.iter().map(Ipv4Addr::octets), ttl)
                } else {
                    draw.v6(&asker, &mut self.v6);
                    reply.drawn(self.v6.iter().map(Ipv6Addr::octets), ttl)
                }
            }
            How::Octets { aa_and_code, counts } => {
                // Compressed names in it mean the question's labels, whose case is the client's.
                if !key.starts_with(request.question) {
                    return None;
                }
                reply.begin(*aa_and_code, *counts);
                reply.out.extend_from_slice(known.given());
                Some(if counts[0] == 0 { Given::NoData } else { Given::Data })
            }
        }
    }

    /// What an answer to the request depends on, as it is now. None: it will not be kept.
    pub(super) fn stamp(
        &self,
        request: &Request,
        wanted: &Wanted,
        client: IpAddr,
    ) -> Option<Stamp> {
        let name = Name::from_labels(request.labels()).ok()?;
        let stamp = self.directory.stamp(&name, client, &self.directory.policy());
        // The key has who the client was. What is found for it as it is now might be another's.
        (stamp.client() == wanted.epoch).then_some(stamp)
    }

    /// Keeps the answer that a look-up gave. `stamp` was taken before it.
    pub(super) fn keep(
        &mut self,
        request: &Request,
        wanted: &Wanted,
        keys: &Keys,
        again: Again,
        stamp: Stamp,
        out: &[u8],
    ) {
        let Some(key) = keys.of(wanted) else { return };
        let mut octets = SmallVec::from_slice(key);
        let stamp = match again {
            Again::RepeatWhileNothingChanges => stamp.strict(),
            _ => stamp,
        };
        let given = match again {
            Again::LookUp => return,
            Again::Draw(draw, asker) => in_order(request, &draw, &asker, &mut octets)
                .unwrap_or_else(|| How::Draw(Box::new((draw, asker)))),
            Again::Repeat | Again::RepeatWhileNothingChanges => {
                match repeated(request, out).filter(|_| key.starts_with(request.question)) {
                    Some((given, rest)) => {
                        octets.extend_from_slice(rest);
                        given
                    }
                    None => return,
                }
            }
        };
        let Ok(length) = u16::try_from(key.len()) else { return };
        let seen = Cell::new(stamp.generation());
        let known = Known { octets, key: length, seen, given, stamp: Box::new(stamp) };
        let rehash = |known: &Known| self.hasher.hash_one(known.key());
        if self.answers.len() >= ANSWERS {
            forget_one(&mut self.answers);
        }
        match self.answers.entry(wanted.hash, |known| known.key() == key, rehash) {
            Entry::Occupied(mut before) => *before.get_mut() = known,
            Entry::Vacant(place) => drop(place.insert(known)),
        }
    }
}

impl Keys {
    /// Makes room for those of other requests.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&self, wanted: &Wanted) -> Option<&[u8]> {
        self.0.get(wanted.key.clone())
    }
}

impl Known {
    fn key(&self) -> &[u8] {
        &self.octets[..usize::from(self.key)]
    }

    fn given(&self) -> &[u8] {
        &self.octets[usize::from(self.key)..]
    }
}

/// Takes any one out.
fn forget_one(answers: &mut HashTable<Known>) {
    let (any, places) = (fastrand::usize(..), answers.num_buckets());
    // Most places are taken: it is one of the first few.
    for next in 0..places {
        if let Ok(entry) = answers.get_bucket_entry(any.wrapping_add(next) % places) {
            entry.remove();
            return;
        }
    }
}

impl Writing<'_> {
    /// All addresses, from the one whose turn it is once around, or as many as are wanted. None:
    /// there is no room for all of them, so that more than the turn decides.
    fn around<const N: usize>(
        &mut self,
        addresses: &[u8],
        turn: Option<&Turn>,
        most: u16,
        ttl: u32,
    ) -> Option<Given> {
        let all = addresses.as_chunks::<N>().0;
        if all.is_empty() || !fits::<N>(all.len(), self.room) {
            return None;
        }
        let (before, after) = all.split_at(turn.map_or(0, Turn::take) % all.len());
        let count = all.len().min(usize::from(most));
        self.begin(flag::AA, self.counts(count)?);
        self.records(ttl, count, after.iter().chain(before).copied());
        self.end();
        Some(Given::Data)
    }

    /// The same for a client that sorts, whose own address comes last, if it is there.
    fn sorted<T: Address + From<[u8; N]>, const N: usize>(
        &mut self,
        addresses: &[u8],
        own: bool,
        turn: Option<&Turn>,
        most: u16,
        ttl: u32,
    ) -> Option<Given> {
        let (all, _) = addresses.as_chunks::<N>();
        let bits = |octets| T::from(octets).bits();
        let (all, own) = match all.split_last() {
            Some((last, others)) if own => (others, Some(bits(*last))),
            _ => (all, None),
        };
        if all.is_empty() || !fits::<N>(all.len(), self.room) {
            return None;
        }
        let (before, after) = all.split_at(turn.map_or(0, Turn::take) % all.len());
        let first = bits(*after.first()?);
        let order = after.iter().chain(before).copied();
        let order = order.filter(|address| remains(bits(*address), first, own));
        let count = order.clone().count().min(usize::from(most));
        self.begin(flag::AA, self.counts(count)?);
        self.records(ttl, count, order);
        self.end();
        Some(Given::Data)
    }

    /// Addresses as they were drawn: whole records as far as there is room.
    fn drawn<const N: usize>(
        &mut self,
        addresses: impl ExactSizeIterator<Item = [u8; N]>,
        ttl: u32,
    ) -> Option<Given> {
        let all = addresses.len();
        if all == 0 {
            return None;
        }
        let count = all.min(self.room / (RECORD + N));
        let truncated = if count < all { flag::TC } else { 0 };
        self.begin(flag::AA | truncated, self.counts(count)?);
        self.records(ttl, count, addresses);
        self.end();
        Some(Given::Data)
    }

    fn begin(&mut self, aa_and_code: u16, counts: [u16; 3]) {
        let Request { id, flags, question, .. } = *self.request;
        let copied = flags & (flag::RD | flag::CD);
        let flags = flag::QR | flag::RA | copied | aa_and_code;
        let [answers, authorities, additionals] = counts;
        let words = [id, flags, 1, answers, authorities, additionals];
        let mut header = [0; HEADER];
        for (octets, word) in header.chunks_exact_mut(2).zip(words) {
            octets.copy_from_slice(&word.to_be_bytes());
        }
        self.out.clear();
        self.out.extend_from_slice(&header);
        self.out.extend_from_slice(question);
    }

    fn counts(&self, answers: usize) -> Option<[u16; 3]> {
        // The room is less than 64 kB.
        Some([u16::try_from(answers).ok()?, 0, u16::from(self.opt != Opt::Absent)])
    }

    /// The records of so many addresses, whose owner is the question's name.
    fn records<const N: usize>(
        &mut self,
        ttl: u32,
        count: usize,
        addresses: impl Iterator<Item = [u8; N]>,
    ) {
        // Room for the longer ones.
        let mut record = [0; RECORD + 16];
        record[..6].copy_from_slice(&[0xc0, 0x0c, 0, 0, 0, 1]);
        record[2..4].copy_from_slice(&self.request.qtype.to_be_bytes());
        record[6..10].copy_from_slice(&ttl.to_be_bytes());
        // 4 or 16.
        record[11] = u8::try_from(N).unwrap_or_default();
        let start = self.out.len();
        // All at once: room that is asked for by each of them costs more than the records.
        self.out.resize(start + count * (RECORD + N), 0);
        let mut places = self.out[start..].chunks_exact_mut(RECORD + N);
        addresses.take(count).for_each(|address| {
            record[RECORD..RECORD + N].copy_from_slice(&address);
            if let Some(place) = places.next() {
                place.copy_from_slice(&record[..RECORD + N]);
            }
        });
    }

    fn end(&mut self) {
        if self.opt != Opt::Absent {
            self.out.extend_from_slice(&plain_opt(self.opt == Opt::WithDo));
        }
    }
}

/// The OPT record of a request that is answered from memory. None: it has options, or a version,
/// that are to be looked at.
fn plain(request: &Request) -> Option<Opt> {
    match request.edns {
        None => Some(Opt::Absent),
        Some(edns) if edns.version == 0 && !request.has_options() => {
            Some(if edns.dnssec_ok { Opt::WithDo } else { Opt::Plain })
        }
        Some(_) => None,
    }
}

/// Keeps the addresses of a draw that takes its turn and nothing else, in the order of the ring, if
/// there is room for their records.
fn in_order(
    request: &Request,
    draw: &Draw,
    asker: &Asker,
    octets: &mut SmallVec<[u8; NEAR]>,
) -> Option<How> {
    let PlainTurn { sorts, most } = draw.plain_turn()?;
    let Selection { health, ttl, .. } = draw.selection;
    let start = octets.len();
    let (turn, fits) = if request.qtype == TYPE_A {
        let all = draw.set.v4.addresses(health);
        octets.extend(all.iter().flat_map(Ipv4Addr::octets));
        (draw.set.v4.turn(), fits::<4>(all.len(), asker.room))
    } else {
        let ring = draw.set.v6()?;
        let all = ring.addresses(health);
        octets.extend(all.iter().flat_map(Ipv6Addr::octets));
        (ring.turn(), fits::<16>(all.len(), asker.room))
    };
    let long = octets.len() - start;
    if long == 0 || long > MAX_REPEATED || !fits {
        octets.truncate(start);
        return None;
    }
    // There are no more of them than that.
    let (most, turn) = (u16::try_from(most).unwrap_or(u16::MAX), turn.cloned());
    if sorts {
        return Some(How::Sorted { most, ttl, own: own(request, asker, octets), turn });
    }
    Some(How::Turn { most, ttl, turn })
}

/// Keeps the client's own address of the family that it asks for. Whether there is one.
fn own(request: &Request, asker: &Asker, octets: &mut SmallVec<[u8; NEAR]>) -> bool {
    let (v4, v6) = (asker.v4.map(|own| own.octets()), asker.v6.map(|own| own.octets()));
    let own = if request.qtype == TYPE_A {
        v4.as_ref().map(<[u8; 4]>::as_slice)
    } else {
        v6.as_ref().map(<[u8; 16]>::as_slice)
    };
    octets.extend_from_slice(own.unwrap_or_default());
    own.is_some()
}

/// Whether there is room for the records of so many addresses.
fn fits<const N: usize>(addresses: usize, room: usize) -> bool {
    addresses * (RECORD + N) <= room
}

/// A reply that is given again as it is, and everything behind the question.
fn repeated<'a>(request: &Request, out: &'a [u8]) -> Option<(How, &'a [u8])> {
    let rest = out.get(HEADER + request.question.len()..)?;
    let word = |at: usize| Some(u16::from_be_bytes([*out.get(at)?, *out.get(at + 1)?]));
    let flags = word(2)?;
    if out.len() > MAX_REPEATED || flags & flag::TC != 0 {
        return None;
    }
    let copied = flag::QR | flag::RA | flag::RD | flag::CD;
    let counts = [word(6)?, word(8)?, word(10)?];
    Some((How::Octets { aa_and_code: flags & !copied, counts }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_an_answer_is_two_lines_of_the_processors_cache() {
        assert_eq!((size_of::<Known>(), align_of::<Known>()), (128, 64));
    }
}
