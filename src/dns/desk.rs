//! `Desk`: from the octets of a request to the octets of a reply, for one thread.

use std::net::IpAddr;

use hickory_proto::op::Query;

use super::Service;
use super::encode::{SERVFAIL, bare, encode};
use super::errors::ErrorLimit;
use super::forward::Admitted;
use super::memo::{Given, Keys, Memo, Wanted};
use super::request::{Request, Unreadable};
use super::respond::{Carrier, Reply, limit, query, respond, room};
use super::waiting::{Unfinished, Waiting};
use crate::model::Asker;

/// Where one thread has its questions answered. Two desks of one service share turns and
/// counters, and nothing else.
pub struct Desk {
    service: Service,
    memo: Memo,
    /// Whether answers are given from memory.
    remembers: bool,
    errors: ErrorLimit,
    given: Tally,
    /// Room for the key of one request.
    keys: Keys,
}

/// A request that has been read, and is still to be answered.
pub struct Read<'a> {
    octets: &'a [u8],
    client: IpAddr,
    /// The generation of the directory when it was read.
    generation: usize,
    request: Result<Request<'a>, Unreadable>,
    /// What it asks the memory for; its key is among those that it was read with.
    wanted: Option<Wanted>,
}

/// What becomes of a request.
pub enum Verdict {
    /// It has its reply.
    Reply,
    /// It gets none.
    Silence,
    /// Its reply waits for other servers.
    Later(Box<Waiting>),
}

/// A reply, but for what other servers say.
type Partial = (Query, Reply, Admitted);

/// Answers given from memory and not counted yet: the counters are shared, and a thread that adds
/// to them for each answer waits for the others.
#[derive(Default)]
struct Tally {
    data: u64,
    nodata: u64,
}

// The codes of replies to what cannot be read (RFC 1035 section 4.1.1).
const FORMERR: u8 = 1;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;

impl Desk {
    /// A desk that remembers what it answered.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self { remembers: true, ..Self::forgetful(service) }
    }

    /// A desk that looks everything up. It gives the same answers.
    #[must_use]
    pub fn forgetful(service: Service) -> Self {
        Self {
            memo: Memo::new(service.directory.clone()),
            service,
            remembers: false,
            errors: ErrorLimit::new(),
            given: Tally::default(),
            keys: Keys::default(),
        }
    }

    /// Puts the reply to a request into `out`, unless there is none, or none yet.
    pub fn answer(
        &mut self,
        octets: &[u8],
        client: IpAddr,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        let read = self.read(octets, client, &mut keys);
        let verdict = read.map(|read| self.reply_now(&read, &keys, carrier, out));
        self.keys = keys;
        verdict.unwrap_or(Verdict::Silence)
    }

    /// Reads a request; its key is added to the keys. None: it gets no reply.
    pub fn read<'a>(
        &mut self,
        octets: &'a [u8],
        client: IpAddr,
        keys: &mut Keys,
    ) -> Option<Read<'a>> {
        let known = self.memo.client(client);
        if !known.admitted {
            self.service.status.answers.not_admitted.increment();
            return None;
        }
        let request = Request::read(octets);
        // The log's line for each answer is written where answers are looked up.
        let remembers = self.remembers && !tracing::enabled!(tracing::Level::DEBUG);
        let wanted = match &request {
            Ok(request) if remembers => self.memo.wanted(request, &known, keys),
            Err(Unreadable::Silence) => return None,
            _ => None,
        };
        Some(Read { octets, client, generation: known.generation, request, wanted })
    }

    /// Fetches what the replies to several requests need.
    pub fn fetch<'r>(&self, all: impl Iterator<Item = &'r Read<'r>> + Clone) {
        self.memo.fetch(all.filter_map(|read| read.wanted.as_ref()));
    }

    /// Puts the reply to a request that has been read into `out`, as [`Self::answer`] does. The
    /// keys are those that it was read with.
    pub fn reply(
        &mut self,
        read: &Read,
        keys: &Keys,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) -> Verdict {
        // Who asks, and whether he may, is what it was then.
        if read.generation != self.service.directory.generation() {
            return self.answer(read.octets, read.client, carrier, out);
        }
        self.reply_now(read, keys, carrier, out)
    }

    fn reply_now(
        &mut self,
        read: &Read,
        keys: &Keys,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let waiting = match &read.request {
            Ok(request) => self.known_or_looked_up(request, read, keys, carrier, out),
            Err(Unreadable::Silence) => return Verdict::Silence,
            Err(Unreadable::Malformed { id, flags }) => self.unreadable(*id, *flags, FORMERR, out),
            Err(Unreadable::Operation { id, flags }) => self.unreadable(*id, *flags, NOTIMP, out),
        };
        if let Some((query, reply, admitted)) = waiting {
            let request = read.octets.to_vec();
            let unfinished = Unfinished { request, query, reply, carrier };
            return Verdict::Later(Box::new(Waiting { admitted, unfinished }));
        }
        let code = out.get(3).map_or(SERVFAIL, |octet| octet & 0xf);
        let error = matches!(code, FORMERR | NOTIMP | REFUSED);
        if error && carrier == Carrier::Udp && !self.errors.admits(read.client) {
            return Verdict::Silence;
        }
        Verdict::Reply
    }

    /// Puts the reply to what would wait, if it could, into `out`.
    pub(super) fn turn_away(&self, waiting: Waiting, out: &mut Vec<u8>) {
        waiting.turn_away(&self.service, out);
    }

    /// Adds to the counters what was answered since the last time.
    pub fn count(&mut self) {
        let Tally { data, nodata } = std::mem::take(&mut self.given);
        let counters = &self.service.status.answers;
        counters.data.add(data);
        counters.nodata.add(nodata);
        counters.from_memory.add(data + nodata);
    }

    fn unreadable(&mut self, id: u16, flags: u16, code: u8, out: &mut Vec<u8>) -> Option<Partial> {
        self.service.status.answers.malformed.increment();
        bare(id, flags, code, out);
        None
    }

    fn known_or_looked_up(
        &mut self,
        request: &Request,
        read: &Read,
        keys: &Keys,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) -> Option<Partial> {
        let (client, wanted) = (read.client, read.wanted.as_ref());
        let limit = limit(request.edns, carrier);
        if let Some(wanted) = wanted
            && let Some(given) = self.memo.answer(request, wanted, keys, client, limit, out)
        {
            match given {
                Given::Data => self.given.data += 1,
                Given::NoData => self.given.nodata += 1,
            }
            return None;
        }
        let Some(query) = query(request) else {
            return self.unreadable(request.id, request.flags, FORMERR, out);
        };
        let stamp = |wanted| Some((wanted, self.memo.stamp(request, wanted, client)?));
        let wanted = wanted.and_then(stamp);
        let chance = fastrand::u64(..);
        let asker =
            Asker { address: client, v4: None, v6: None, chance, room: room(limit, request) };
        let mut reply = respond(request, &query, asker, carrier, &self.service);
        if let Some(admitted) = reply.forward.take() {
            return Some((query, reply, admitted));
        }
        if let Err(error) = encode(&reply, request, &query, limit, out) {
            tracing::error!(%error, %query, "the reply cannot be encoded");
        } else if let Some((wanted, stamp)) = wanted {
            self.memo.keep(request, wanted, keys, reply.again, stamp, out);
        }
        None
    }
}
