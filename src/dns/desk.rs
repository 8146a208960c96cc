//! `Desk`: from the octets of a request to the octets of a reply, for one thread.

use std::net::IpAddr;

use super::Service;
use super::answer::Again;
use super::encode::{bare, encode};
use super::errors::ErrorLimit;
use super::memo::{Given, KnownClient, Memo};
use super::request::{Request, Unreadable};
use super::respond::{Carrier, limit, query, respond, room};
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
}

/// Answers given from memory and not counted yet: the counters are shared, and a thread that adds
/// to them for each answer waits for the others.
#[derive(Default)]
struct Tally {
    data: u64,
    nodata: u64,
}

// The codes of replies to what cannot be read (RFC 1035 section 4.1.1).
const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
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
        }
    }

    /// Puts the reply to a request into `out`, unless silence is the reply; whether there is one.
    pub fn answer(
        &mut self,
        octets: &[u8],
        client: IpAddr,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) -> bool {
        let known = self.memo.client(client);
        if !known.admitted {
            self.service.status.answers.not_admitted.increment();
            return false;
        }
        match Request::read(octets) {
            Ok(request) => self.reply(&request, client, &known, carrier, out),
            Err(Unreadable::Silence) => return false,
            Err(Unreadable::Malformed { id, flags }) => self.unreadable(id, flags, FORMERR, out),
            Err(Unreadable::Operation { id, flags }) => self.unreadable(id, flags, NOTIMP, out),
        }
        let code = out.get(3).map_or(SERVFAIL, |octet| octet & 0xf);
        let error = matches!(code, FORMERR | NOTIMP | REFUSED);
        !error || carrier == Carrier::Tcp || self.errors.admits(client)
    }

    /// Adds to the counters what was answered since the last time.
    pub fn count(&mut self) {
        let Tally { data, nodata } = std::mem::take(&mut self.given);
        let counters = &self.service.status.answers;
        counters.data.add(data);
        counters.nodata.add(nodata);
        counters.from_memory.add(data + nodata);
    }

    fn unreadable(&mut self, id: u16, flags: u16, code: u8, out: &mut Vec<u8>) {
        self.service.status.answers.malformed.increment();
        bare(id, flags, code, out);
    }

    fn reply(
        &mut self,
        request: &Request,
        client: IpAddr,
        known: &KnownClient,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) {
        let limit = limit(request.edns, carrier);
        // The log's line for each answer is written where answers are looked up.
        let remembers = self.remembers && !tracing::enabled!(tracing::Level::DEBUG);
        if remembers && let Some(given) = self.memo.answer(request, client, known, limit, out) {
            match given {
                Given::Data => self.given.data += 1,
                Given::NoData => self.given.nodata += 1,
            }
            return;
        }
        let stamp = if remembers { self.memo.stamp(request, client) } else { None };
        let again = self.look_up(request, client, carrier, out);
        if let (Some(stamp), Some(again)) = (stamp, again) {
            self.memo.keep(request, known, again, stamp, out);
        }
    }

    fn look_up(
        &mut self,
        request: &Request,
        client: IpAddr,
        carrier: Carrier,
        out: &mut Vec<u8>,
    ) -> Option<Again> {
        let Some(query) = query(request) else {
            self.unreadable(request.id, request.flags, FORMERR, out);
            return None;
        };
        let limit = limit(request.edns, carrier);
        let room = room(limit, request);
        let chance = fastrand::u64(..);
        let asker = Asker { address: client, v4: None, v6: None, chance, room };
        let reply = respond(request, &query, asker, carrier, &self.service);
        match encode(&reply, request, &query, limit, out) {
            Ok(()) => Some(reply.again),
            Err(error) => {
                tracing::error!(%error, %query, "the reply cannot be encoded");
                bare(request.id, request.flags, SERVFAIL, out);
                None
            }
        }
    }
}
