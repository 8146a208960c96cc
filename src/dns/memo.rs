//! `Memo`: answers that one thread can give again without a look-up.
//!
//! Nearly all questions are asked again and again. For those the decision is kept but for whose
//! turn it is, with the stamp of what it depended on; a change in the directory outdates exactly
//! the answers that it may concern. What is given again is octet for octet what a look-up would
//! give.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::RandomState;

use super::answer::Again;
use super::encode::{RECORD, plain_opt};
use super::request::{HEADER, Request, flag};
use super::respond::room;
use crate::directory::{Reader, Stamp};
use crate::model::{Asker, Draw, Name, Order};

/// Answers kept by one thread, of about 300 octets each. When it is full it starts anew: the
/// questions that are asked often come back at once.
const ANSWERS: usize = 16_384;
/// Clients known to one thread, likewise.
const CLIENTS: usize = 4_096;
/// Octets of an answer that is kept as it is.
const MAX_REPEATED: usize = 512;

const TYPE_A: u16 = 1;
/// Octets of an IPv6 address.
const MAX_ADDRESS: usize = 16;

/// The memory, and room for one answer.
pub(super) struct Memo {
    directory: Reader,
    /// By [`Key`].
    answers: HashMap<Box<[u8]>, Known, RandomState>,
    clients: HashMap<IpAddr, KnownClient, RandomState>,
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
pub(super) struct KnownClient {
    stamp: Stamp,
    pub(super) admitted: bool,
    /// The client's address if it is a container; all others see the same.
    container: Option<IpAddr>,
}

/// What matters of the OPT record of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opt {
    Absent,
    Plain,
    WithDo,
}

/// An answer, and what it depended on.
struct Known {
    stamp: Stamp,
    answer: Answer,
}

enum Answer {
    Draw(Draw, Asker),
    /// The second word of the header, and everything behind the question.
    Octets {
        aa_and_code: u16,
        counts: [u16; 3],
        rest: Box<[u8]>,
    },
}

/// All that an answer is given for: the question in lower case, OPT, and who asks.
#[derive(Default)]
struct Key(Vec<u8>);

impl Memo {
    pub(super) fn new(directory: Reader) -> Self {
        Self {
            directory,
            answers: HashMap::default(),
            clients: HashMap::default(),
            key: Key::default(),
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }

    /// Who a client is.
    pub(super) fn client(&mut self, address: IpAddr) -> KnownClient {
        if let Some(known) = self.clients.get(&address)
            && self.directory.is_current(&known.stamp)
        {
            return *known;
        }
        let policy = self.directory.policy();
        let known = KnownClient {
            stamp: self.directory.client_stamp(address),
            admitted: self.directory.admits(address, &policy),
            container: self.directory.container_at(address).map(|_| address),
        };
        if self.clients.len() >= CLIENTS {
            self.clients.clear();
        }
        self.clients.insert(address, known);
        known
    }

    /// Puts the answer into `out`, if it is known.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        address: IpAddr,
        client: &KnownClient,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Given> {
        let opt = plain(request)?;
        self.key.set(request, opt, client);
        let known = self.answers.get(&*self.key.0)?;
        if !self.directory.is_current(&known.stamp) {
            return None;
        }
        match &known.answer {
            Answer::Octets { aa_and_code, counts, rest } => {
                // Compressed names in it mean the question's labels, whose case is the client's.
                if !self.key.is_lower_case(request) {
                    return None;
                }
                begin(request, *aa_and_code, *counts, out);
                out.extend(&**rest);
                Some(if counts[0] == 0 { Given::NoData } else { Given::Data })
            }
            Answer::Draw(draw, asker) => {
                let room = room(limit, request);
                let chance =
                    if draw.selection.order == Order::Shuffle { fastrand::u64(..) } else { 0 };
                let asker = Asker { address, chance, room, ..*asker };
                let ttl = draw.selection.ttl;
                if request.qtype == TYPE_A {
                    draw.v4(&asker, &mut self.v4);
                    let octets = self.v4.iter().map(Ipv4Addr::octets);
                    records(request, octets, ttl, room, opt, out)
                } else {
                    draw.v6(&asker, &mut self.v6);
                    let octets = self.v6.iter().map(Ipv6Addr::octets);
                    records(request, octets, ttl, room, opt, out)
                }
            }
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
        client: &KnownClient,
        again: Again,
        stamp: Stamp,
        out: &[u8],
    ) {
        let Some(opt) = plain(request) else { return };
        self.key.set(request, opt, client);
        let stamp = match again {
            Again::RepeatWhileNothingChanges => stamp.strict(),
            _ => stamp,
        };
        let answer = match again {
            Again::LookUp => return,
            Again::Draw(draw, asker) => Answer::Draw(draw, asker),
            Again::Repeat | Again::RepeatWhileNothingChanges => {
                match octets(request, out).filter(|_| self.key.is_lower_case(request)) {
                    Some(octets) => octets,
                    None => return,
                }
            }
        };
        if self.answers.len() >= ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(self.key.0.as_slice().into(), Known { stamp, answer });
    }
}

impl Key {
    fn set(&mut self, request: &Request, opt: Opt, client: &KnownClient) {
        self.0.clear();
        // Length octets and the small numbers of type and class are no letters.
        self.0.extend(request.question.iter().map(u8::to_ascii_lowercase));
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
    let [answers, authorities, additionals] = counts;
    let flags = flag::QR | flag::RA | copied | aa_and_code;
    out.clear();
    for word in [request.id, flags, 1, answers, authorities, additionals] {
        out.extend(word.to_be_bytes());
    }
    out.extend(request.question);
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
    // The room is less than 64 kB.
    let counts = [u16::try_from(count).ok()?, 0, u16::from(opt != Opt::Absent)];
    begin(request, flag::AA | truncated, counts, out);
    let mut record = [0; RECORD + MAX_ADDRESS];
    record[..6].copy_from_slice(&[0xc0, 0x0c, 0, 0, 0, 1]);
    record[2..4].copy_from_slice(&request.qtype.to_be_bytes());
    record[6..10].copy_from_slice(&ttl.to_be_bytes());
    record[10..RECORD].copy_from_slice(&u16::try_from(N).ok()?.to_be_bytes());
    for address in addresses.take(count) {
        record[RECORD..RECORD + N].copy_from_slice(&address);
        out.extend_from_slice(&record[..RECORD + N]);
    }
    if opt != Opt::Absent {
        out.extend(plain_opt(opt == Opt::WithDo));
    }
    Some(Given::Data)
}

/// A reply as it is kept: everything behind the question.
fn octets(request: &Request, out: &[u8]) -> Option<Answer> {
    let rest = out.get(HEADER + request.question.len()..)?;
    let word = |at: usize| Some(u16::from_be_bytes([*out.get(at)?, *out.get(at + 1)?]));
    let flags = word(2)?;
    if out.len() > MAX_REPEATED || flags & flag::TC != 0 {
        return None;
    }
    let copied = flag::QR | flag::RA | flag::RD | flag::CD;
    let counts = [word(6)?, word(8)?, word(10)?];
    Some(Answer::Octets { aa_and_code: flags & !copied, counts, rest: rest.into() })
}
