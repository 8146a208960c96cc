//! `Memo`: answers that one thread can give again without a look-up.
//!
//! Nearly all questions are asked again and again. For those the decision is kept but for whose
//! turn it is, with the stamp of what it depended on; a change in the directory outdates exactly
//! the answers that it may concern. What is given again is octet for octet what a look-up would
//! give.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::answer::Again;
use super::encode::{RECORD, plain_opt};
use super::request::{HEADER, Request, flag};
use super::respond::room;
use crate::directory::{Reader, Stamp};
use crate::model::{Asker, Draw, Name, Order, RecordSet, Selection};

/// Answers kept by one thread, of about 300 octets each. When it is full it starts anew: the
/// questions that are asked often come back at once.
const ANSWERS: usize = 16_384;
/// Clients known to one thread, likewise.
const CLIENTS: usize = 4_096;
/// Octets of an answer that is kept as it is.
const MAX_REPEATED: usize = 512;

const TYPE_A: u16 = 1;

/// The memory, and room for one answer.
pub(super) struct Memo {
    directory: Reader,
    answers: HashSet<Known, RandomState>,
    clients: HashMap<IpAddr, KnownClient, RandomState>,
    /// The client that asked last, and the generation in which it was known: many questions in a
    /// row are one client's.
    last: Option<(IpAddr, usize, Who)>,
    key: Key,
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

/// An answer, found by its [`Key`]. Thousands of names are asked, and fetching what is kept of
/// each into the processor's cache is half of its cost: so key and answer are one piece.
struct Known {
    /// The key, and behind it what is given for it.
    octets: Box<[u8]>,
    /// Octets of the key.
    key: usize,
    /// What the answer depended on.
    stamp: Stamp,
    /// The generation of the directory in which the stamp was last seen to be current.
    seen: Cell<usize>,
    given: How,
}

enum How {
    /// The kept records, which are all of a set in the ring's order, from the one whose turn it is
    /// once around, so many at most. Where there is no room for all, as the draw says.
    Turn(Arc<RecordSet>, u16, Box<(Draw, Asker)>),
    Draw(Box<(Draw, Asker)>),
    /// The second word of the header, the counts, and the octets kept behind the key.
    Octets {
        aa_and_code: u16,
        counts: [u16; 3],
    },
}

/// All that an answer is given for: the question in lower case, OPT, and who asks.
#[derive(Default)]
struct Key(Vec<u8>);

impl Memo {
    pub(super) fn new(directory: Reader) -> Self {
        Self {
            directory,
            answers: HashSet::default(),
            clients: HashMap::default(),
            last: None,
            key: Key::default(),
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }

    /// Who a client is.
    pub(super) fn client(&mut self, address: IpAddr) -> Who {
        // Read first: what changes meanwhile is then seen by the next one.
        let generation = self.directory.generation();
        if let Some((last, known, who)) = self.last
            && (last, known) == (address, generation)
        {
            return who;
        }
        let who = self.looked_up(address);
        self.last = Some((address, generation, who));
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
            container: self.directory.container_at(address).map(|_| address),
        };
        if self.clients.len() >= CLIENTS {
            self.clients.clear();
        }
        self.clients.insert(address, KnownClient { stamp, who });
        who
    }

    /// Puts the answer into `out`, if it is known.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        address: IpAddr,
        client: &Who,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Given> {
        let opt = plain(request)?;
        self.key.set(request, opt, client);
        let known = self.answers.get(&*self.key.0)?;
        // Read first, as above.
        let generation = self.directory.generation();
        if known.seen.get() != generation {
            if !self.directory.is_current(&known.stamp) {
                return None;
            }
            known.seen.set(generation);
        }
        let room = room(limit, request);
        let (draw, asker) = match &known.given {
            How::Turn(set, most, _) if known.given().len() <= room => {
                return turn(request, set, *most, known.given(), opt, out);
            }
            How::Turn(.., draw) | How::Draw(draw) => &**draw,
            How::Octets { aa_and_code, counts } => {
                // Compressed names in it mean the question's labels, whose case is the client's.
                if !self.key.is_lower_case(request) {
                    return None;
                }
                begin(request, *aa_and_code, *counts, out);
                out.extend_from_slice(known.given());
                return Some(if counts[0] == 0 { Given::NoData } else { Given::Data });
            }
        };
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
    pub(super) fn stamp(&self, request: &Request, client: IpAddr) -> Option<Stamp> {
        plain(request)?;
        let name = Name::from_labels(request.labels()).ok()?;
        Some(self.directory.stamp(&name, client, &self.directory.policy()))
    }

    /// Keeps the answer that a look-up gave. `stamp` was taken before it.
    pub(super) fn keep(
        &mut self,
        request: &Request,
        client: &Who,
        again: Again,
        stamp: Stamp,
        out: &[u8],
    ) {
        let Some(opt) = plain(request) else { return };
        self.key.set(request, opt, client);
        let key = self.key.0.len();
        let mut octets = self.key.0.clone();
        let stamp = match again {
            Again::RepeatWhileNothingChanges => stamp.strict(),
            _ => stamp,
        };
        let given = match again {
            Again::LookUp => return,
            Again::Draw(draw, asker) => {
                let draw = Box::new((draw, asker));
                match in_order(request, &draw.0, &mut octets) {
                    Some(most) => How::Turn(draw.0.set.clone(), most, draw),
                    None => How::Draw(draw),
                }
            }
            Again::Repeat | Again::RepeatWhileNothingChanges => {
                match repeated(request, out).filter(|_| self.key.is_lower_case(request)) {
                    Some((given, rest)) => {
                        octets.extend_from_slice(rest);
                        given
                    }
                    None => return,
                }
            }
        };
        if self.answers.len() >= ANSWERS {
            self.answers.clear();
        }
        let (seen, octets) = (Cell::new(stamp.generation()), octets.into());
        self.answers.replace(Known { octets, key, stamp, seen, given });
    }
}

impl Known {
    fn key(&self) -> &[u8] {
        &self.octets[..self.key]
    }

    fn given(&self) -> &[u8] {
        &self.octets[self.key..]
    }
}

impl Borrow<[u8]> for Known {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Known {}

impl Key {
    fn set(&mut self, request: &Request, opt: Opt, client: &Who) {
        self.0.clear();
        // Length octets and the small numbers of type and class are no letters.
        self.0.extend_from_slice(request.question);
        self.0.make_ascii_lowercase();
        self.0.push(opt as u8);
        match client.container {
            None => {}
            Some(IpAddr::V4(v4)) => self.0.extend(v4.octets()),
            Some(IpAddr::V6(v6)) => self.0.extend(v6.octets()),
        }
    }

    fn is_lower_case(&self, request: &Request) -> bool {
        self.0.starts_with(request.question)
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

/// One record of an address, whose owner is the question's name.
fn record<const N: usize>(qtype: u16, ttl: u32, address: [u8; N], out: &mut Vec<u8>) {
    let mut fixed = [0xc0, 0x0c, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    fixed[2..4].copy_from_slice(&qtype.to_be_bytes());
    fixed[6..10].copy_from_slice(&ttl.to_be_bytes());
    // 4 or 16.
    fixed[11] = u8::try_from(N).unwrap_or_default();
    out.extend_from_slice(&fixed);
    out.extend_from_slice(&address);
}

/// Octets of one record.
const fn record_size(qtype: u16) -> usize {
    if qtype == TYPE_A { RECORD + size_of::<Ipv4Addr>() } else { RECORD + size_of::<Ipv6Addr>() }
}

/// Adds the records of a draw that takes its turn and nothing else, in the order of the ring; how
/// many of them an answer has at most.
fn in_order(request: &Request, draw: &Draw, octets: &mut Vec<u8>) -> Option<u16> {
    let most = draw.plain_turn()?;
    let Selection { health, ttl, .. } = draw.selection;
    let start = octets.len();
    if request.qtype == TYPE_A {
        for v4 in draw.set.v4.addresses(health) {
            record(request.qtype, ttl, v4.octets(), octets);
        }
    } else {
        for v6 in draw.set.v6()?.addresses(health) {
            record(request.qtype, ttl, v6.octets(), octets);
        }
    }
    let long = octets.len() - start;
    if long == 0 || long > MAX_REPEATED {
        octets.truncate(start);
        return None;
    }
    // There are no more of them than that.
    Some(u16::try_from(most).unwrap_or(u16::MAX))
}

/// Takes the turn, and writes the records from there once around, or as many as are wanted.
fn turn(
    request: &Request,
    set: &RecordSet,
    most: u16,
    records: &[u8],
    opt: Opt,
    out: &mut Vec<u8>,
) -> Option<Given> {
    let size = record_size(request.qtype);
    let all = records.len() / size;
    let turn = if request.qtype == TYPE_A { set.v4.take_turn() } else { set.v6()?.take_turn() };
    let first = turn % all;
    let count = all.min(usize::from(most));
    begin(request, flag::AA, counts(count, opt)?, out);
    let (before, after) = records.split_at(first * size);
    let wanted = count * size;
    out.extend_from_slice(&after[..wanted.min(after.len())]);
    out.extend_from_slice(&before[..wanted.saturating_sub(after.len())]);
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
    addresses.take(count).for_each(|address| record(request.qtype, ttl, address, out));
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
