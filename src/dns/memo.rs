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
use crate::model::{Asker, Draw, Name, Order, Selection, Turn};

/// Answers kept by one thread, of about 300 octets each: three quarters of a table of 32,768
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
    seldom: Box<Seldom>,
}

/// What is looked at when something has changed, or where there is no room for all.
struct Seldom {
    /// What the answer depended on.
    stamp: Stamp,
    draw: Option<(Draw, Asker)>,
}

enum How {
    /// The kept addresses, which are all of a set in the ring's order, from the one whose turn it
    /// is once around, so many at most. Where there is no room for all, as the draw says.
    Turn { most: u16, ttl: u32, turn: Option<Turn> },
    /// As the draw says.
    Draw,
    /// The second word of the header, the counts, and the kept octets.
    Octets { aa_and_code: u16, counts: [u16; 3] },
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
            if let Some(Known { given: How::Turn { turn: Some(turn), .. }, octets, .. }) =
                likely(wanted)
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
            if !self.directory.is_current(&known.seldom.stamp) {
                return None;
            }
            known.seen.set(generation);
        }
        let room = room(limit, request);
        match &known.given {
            How::Turn { most, ttl, turn } => {
                let (given, taken) = (known.given(), || turn.as_ref().map_or(0, Turn::take));
                let (v4, v6) = (given.as_chunks().0, given.as_chunks().0);
                if request.qtype == TYPE_A && fits::<4>(v4, room) {
                    return around(request, taken(), v4, *most, *ttl, opt, out);
                }
                if request.qtype != TYPE_A && fits::<16>(v6, room) {
                    return around(request, taken(), v6, *most, *ttl, opt, out);
                }
            }
            How::Draw => {}
            How::Octets { aa_and_code, counts } => {
                // Compressed names in it mean the question's labels, whose case is the client's.
                if !key.starts_with(request.question) {
                    return None;
                }
                begin(request, *aa_and_code, *counts, out);
                out.extend_from_slice(known.given());
                return Some(if counts[0] == 0 { Given::NoData } else { Given::Data });
            }
        }
        let (draw, asker) = known.seldom.draw.as_ref()?;
        let chance = if draw.selection.order == Order::Shuffle { fastrand::u64(..) } else { 0 };
        let asker = Asker { address, chance, room, ..*asker };
        if request.qtype == TYPE_A {
            draw.v4(&asker, &mut self.v4);
            let octets = self.v4.iter().map(Ipv4Addr::octets);
            records(request, octets, draw.selection.ttl, room, opt, out)
        } else {
            draw.v6(&asker, &mut self.v6);
            let octets = self.v6.iter().map(Ipv6Addr::octets);
            records(request, octets, draw.selection.ttl, room, opt, out)
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
        let mut seldom = Seldom { stamp, draw: None };
        if matches!(again, Again::RepeatWhileNothingChanges) {
            seldom.stamp = seldom.stamp.strict();
        }
        let given = match again {
            Again::LookUp => return,
            Again::Draw(draw, asker) => {
                let given = in_order(request, &draw, &mut octets).unwrap_or(How::Draw);
                seldom.draw = Some((draw, asker));
                given
            }
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
        let seen = Cell::new(seldom.stamp.generation());
        let known = Known { octets, key: length, seen, given, seldom: Box::new(seldom) };
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

fn begin(request: &Request, aa_and_code: u16, counts: [u16; 3], out: &mut Vec<u8>) {
    let copied = request.flags & (flag::RD | flag::CD);
    let flags = flag::QR | flag::RA | copied | aa_and_code;
    let [answers, authorities, additionals] = counts;
    let words = [request.id, flags, 1, answers, authorities, additionals];
    let mut header = [0; HEADER];
    for (octets, word) in header.chunks_exact_mut(2).zip(words) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    out.clear();
    out.extend_from_slice(&header);
    out.extend_from_slice(request.question);
}

/// Writes the records of so many addresses, whose owner is the question's name.
fn write_records<const N: usize>(
    qtype: u16,
    ttl: u32,
    count: usize,
    addresses: impl Iterator<Item = [u8; N]>,
    out: &mut Vec<u8>,
) {
    // Room for the longer ones.
    let mut record = [0; RECORD + 16];
    record[..6].copy_from_slice(&[0xc0, 0x0c, 0, 0, 0, 1]);
    record[2..4].copy_from_slice(&qtype.to_be_bytes());
    record[6..10].copy_from_slice(&ttl.to_be_bytes());
    // 4 or 16.
    record[11] = u8::try_from(N).unwrap_or_default();
    let start = out.len();
    // All at once: room that is asked for by each of them costs more than the records.
    out.resize(start + count * (RECORD + N), 0);
    let mut places = out[start..].chunks_exact_mut(RECORD + N);
    addresses.take(count).for_each(|address| {
        record[RECORD..RECORD + N].copy_from_slice(&address);
        if let Some(place) = places.next() {
            place.copy_from_slice(&record[..RECORD + N]);
        }
    });
}

/// Keeps the addresses of a draw that takes its turn and nothing else, in the order of the ring.
fn in_order(request: &Request, draw: &Draw, octets: &mut SmallVec<[u8; NEAR]>) -> Option<How> {
    let most = draw.plain_turn()?;
    let Selection { health, ttl, .. } = draw.selection;
    let start = octets.len();
    let turn = if request.qtype == TYPE_A {
        octets.extend(draw.set.v4.addresses(health).iter().flat_map(Ipv4Addr::octets));
        draw.set.v4.turn()
    } else {
        let ring = draw.set.v6()?;
        octets.extend(ring.addresses(health).iter().flat_map(Ipv6Addr::octets));
        ring.turn()
    };
    let long = octets.len() - start;
    if long == 0 || long > MAX_REPEATED {
        octets.truncate(start);
        return None;
    }
    // There are no more of them than that.
    let most = u16::try_from(most).unwrap_or(u16::MAX);
    Some(How::Turn { most, ttl, turn: turn.cloned() })
}

/// Whether there is room for the records of so many addresses.
fn fits<const N: usize>(addresses: &[[u8; N]], room: usize) -> bool {
    addresses.len() * (RECORD + N) <= room
}

/// Writes the records of all addresses, from the one whose turn it is once around, or as many as
/// are wanted.
fn around<const N: usize>(
    request: &Request,
    turn: usize,
    all: &[[u8; N]],
    most: u16,
    ttl: u32,
    opt: Opt,
    out: &mut Vec<u8>,
) -> Option<Given> {
    let (before, after) = all.split_at(turn.checked_rem(all.len())?);
    let count = all.len().min(usize::from(most));
    begin(request, flag::AA, counts(count, opt)?, out);
    let addresses = after.iter().chain(before).copied();
    write_records(request.qtype, ttl, count, addresses, out);
    end(opt, out);
    Some(Given::Data)
}

/// Writes an RRset of addresses: whole records as far as there is room, and OPT.
fn records<const N: usize>(
    request: &Request,
    addresses: impl ExactSizeIterator<Item = [u8; N]>,
    ttl: u32,
    room: usize,
    opt: Opt,
    out: &mut Vec<u8>,
) -> Option<Given> {
    let all = addresses.len();
    if all == 0 {
        return None;
    }
    let count = all.min(room / (RECORD + N));
    let truncated = if count < all { flag::TC } else { 0 };
    begin(request, flag::AA | truncated, counts(count, opt)?, out);
    write_records(request.qtype, ttl, count, addresses, out);
    end(opt, out);
    Some(Given::Data)
}

fn counts(answers: usize, opt: Opt) -> Option<[u16; 3]> {
    // The room is less than 64 kB.
    Some([u16::try_from(answers).ok()?, 0, u16::from(opt != Opt::Absent)])
}

fn end(opt: Opt, out: &mut Vec<u8>) {
    if opt != Opt::Absent {
        out.extend_from_slice(&plain_opt(opt == Opt::WithDo));
    }
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
