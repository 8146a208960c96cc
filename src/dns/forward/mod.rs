//! Names that are not ours, passed on to other servers.
//!
//! `admits` decides at once whether a question may leave, and `kept` gives what the `cache` has;
//! `forward` always comes to something within four seconds: from a question already under way
//! (`flights`), or by `attempts` at one server after the other (`exchange`, `secure`), whose answer
//! is scrubbed to the question (`outcome`). It validates nothing, and never claims that it did: AD
//! stays clear.

mod attempts;
mod cache;
mod exchange;
mod flights;
mod limits;
mod outcome;
mod refusal;
mod secure;
mod upstreams;

pub use refusal::{Limit, Refusal};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name as WireName, Record, RecordType as WireType};

use super::extended::ExtendedError;
use crate::directory::Reader;
use crate::model::{Forward, Found, Name, Outside, Policy, RecordType, View, Zone, outside};
use crate::status::Status;
use cache::Cache;
use exchange::Outgoing;
use flights::{Flights, Joined, Takeoff};
use limits::Limits;
use outcome::Outcome;
use upstreams::Upstreams;

/// Passes questions on. Clones share everything.
#[derive(Clone)]
pub struct Forwarder(Arc<Shared>);

/// What cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask other servers over TLS: {0}")]
pub struct ForwardError(#[source] exchange::Failure);

/// A question that nothing of ours answers.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The question, as the client spelled it.
    pub query: &'a Query,
    /// Its name.
    pub name: &'a Name,
    /// Who asks.
    pub client: IpAddr,
    /// What the request says about other servers.
    pub wish: Wish<'a>,
}

/// What a request says about other servers.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// RD: the client wants others to be asked.
    pub recursion_desired: bool,
    /// CD: the client wants no validation.
    pub checking_disabled: bool,
    /// The data of the option that marks questions of ours.
    pub mark: Option<&'a [u8]>,
}

/// A question that may leave.
#[derive(Clone, Debug)]
pub struct Admitted {
    query: Query,
    name: Name,
    client: IpAddr,
    checking_disabled: bool,
    policy: Arc<Policy>,
}

/// An answer to be put behind the client's own question, with RA set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The response code.
    pub code: ResponseCode,
    /// AA: only names for special use are ours.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The SOA of a negative answer.
    pub soa: Option<Record>,
    /// Why it is no better answer; for clients that speak EDNS.
    pub extended: Option<ExtendedError>,
}

struct Shared {
    directory: Reader,
    status: Arc<Status>,
    upstreams: Upstreams,
    cache: Cache,
    flights: Arc<Flights>,
    limits: Limits,
    mark: Mark,
    /// Whether a loop has been told in the log, where once is enough.
    loop_is_told: AtomicBool,
}

/// What makes two questions the same one to other servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: Name,
    qtype: u16,
    checking_disabled: bool,
    generation: u64,
}

/// An EDNS option that a question of ours carries, by which it is known if it comes back: Docker's
/// 127.0.0.11, for one, may ask the very server that asks it.
#[derive(Clone, Copy)]
struct Mark([u8; 8]);

/// A code for local use (RFC 6891 section 9).
pub(super) const MARK_OPTION: u16 = 65_053;

impl Forwarder {
    /// `listen` is where we are asked ourselves.
    pub fn new(
        directory: Reader,
        status: Arc<Status>,
        listen: Vec<SocketAddr>,
    ) -> Result<Self, ForwardError> {
        let forward = directory.policy().forward.clone();
        Ok(Self(Arc::new(Shared {
            upstreams: Upstreams::new(listen, forward).map_err(ForwardError)?,
            cache: Cache::new(),
            flights: Arc::default(),
            limits: Limits::new(status.clone()),
            mark: Mark(fastrand::u64(..).to_be_bytes()),
            loop_is_told: AtomicBool::new(false),
            directory,
            status,
        })))
    }

    /// Whether a question that nothing of ours answers may leave; if not, why. Costs little.
    pub fn admits(&self, asked: &Asked<'_>, policy: &Arc<Policy>) -> Result<Admitted, Refusal> {
        let refusal = self.refusal(asked, &policy.forward);
        if let Some(refusal) = refusal {
            refusal.counter(&self.0.status.forwards).increment();
            tracing::debug!(client = %asked.client, name = %asked.name, %refusal, "stays here");
            let is_loop = refusal == Refusal::Loop;
            if is_loop && !self.0.loop_is_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(through = %asked.client, "{refusal}; name servers with --forward");
            }
            return Err(refusal);
        }
        Ok(Admitted {
            query: asked.query.clone(),
            name: asked.name.clone(),
            client: asked.client,
            checking_disabled: asked.wish.checking_disabled,
            policy: policy.clone(),
        })
    }

    fn refusal(&self, asked: &Asked<'_>, forward: &Forward) -> Option<Refusal> {
        let outside = outside(asked.name, forward);
        if let Outside::Special(special) = outside {
            return Some(Refusal::Special(special));
        }
        if asked.wish.mark == Some(&self.0.mark.0) {
            return Some(Refusal::Loop);
        }
        let refusals = [
            (outside == Outside::SingleLabel, Refusal::SingleLabel),
            (!forward.enabled, Refusal::Disabled),
            (!asked.wish.recursion_desired, Refusal::NotRecursive),
            (!is_data(asked.query.query_type()), Refusal::NoData),
            (!self.0.directory.has_way_out(asked.client), Refusal::NoWayOut),
        ];
        refusals.into_iter().find(|(holds, _)| *holds).map(|(_, refusal)| refusal)
    }

    /// The answer that is kept, if it is known at once that it is still the answer. Costs little.
    #[must_use]
    pub fn kept(&self, question: &Admitted) -> Option<Forwarded> {
        let generation = self.0.upstreams.current(&question.policy.forward)?;
        self.kept_as(&question.key(generation), question)
    }

    fn kept_as(&self, key: &Key, question: &Admitted) -> Option<Forwarded> {
        let kept = self.0.cache.get(key)?;
        self.0.status.forwards.cached.increment();
        Some(kept.answer(&question.query))
    }

    /// The answer of other servers, or SERVFAIL; within four seconds.
    pub async fn forward(&self, question: Admitted) -> Forwarded {
        let shared = &self.0;
        let forwards = &shared.status.forwards;
        let key = question.key(shared.upstreams.refresh(&question.policy.forward).await);
        if let Some(kept) = self.kept_as(&key, &question) {
            return kept;
        }
        let outcome = match shared.limits.enter(question.client) {
            Ok(_place) => self.outcome(key, &question).await,
            Err(limit) => Err(limit),
        };
        match outcome {
            Ok(outcome) => {
                let failed = outcome.code == ResponseCode::ServFail;
                if failed { &forwards.failed } else { &forwards.answered }.increment();
                outcome.answer(&question.query)
            }
            Err(limit) => self.turn_away(limit, &question.query),
        }
    }

    /// The answer when a limit is reached: at once, so that the client need not wait to ask
    /// somebody else.
    pub(super) fn turn_away(&self, limit: Limit, query: &Query) -> Forwarded {
        let refusal = Refusal::Busy(limit);
        refusal.counter(&self.0.status.forwards).increment();
        refusal.answer(query)
    }

    /// What a question comes to; it sets out, or joins one that is on its way.
    async fn outcome(&self, key: Key, question: &Admitted) -> Result<Arc<Outcome>, Limit> {
        let mut landing = match self.0.flights.join(key) {
            Joined::Follows(landing) => landing,
            Joined::Leads(takeoff, landing) => {
                // A task of its own: it goes on when the client that led has gone.
                tokio::spawn(fly(self.0.clone(), takeoff, question.clone()));
                landing
            }
            Joined::Full => return Err(Limit::All),
        };
        match landing.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
            Some(outcome) => Ok(outcome),
            // The runtime is ending.
            None => Err(Limit::All),
        }
    }
}

impl Admitted {
    fn key(&self, generation: u64) -> Key {
        Key {
            name: self.name.clone(),
            qtype: self.query.query_type().into(),
            checking_disabled: self.checking_disabled,
            generation,
        }
    }
}

/// Asks others, keeps the answer, and gives it to all who wait.
async fn fly(shared: Arc<Shared>, takeoff: Takeoff, question: Admitted) {
    let qtype = question.query.query_type();
    let outgoing = Outgoing {
        query: Query::query(question.query.name().to_lowercase(), qtype),
        checking_disabled: question.checking_disabled,
    };
    let servers = shared.upstreams.for_name(&question.name);
    let is_ours = |name: &WireName| shared.is_ours(name, &question.policy);
    let outcome = attempts::resolve(&outgoing, &servers, &shared, is_ours).await;
    if let Some(error) = &outcome.extended {
        tracing::debug!(name = %question.name, r#type = %qtype, "no answer: {}", error.text);
    }
    let outcome = Arc::new(outcome);
    // Before it lands: who comes after that finds it kept.
    shared.cache.keep(takeoff.key.clone(), &outcome);
    takeoff.land(outcome);
}

/// What octets of another server come to as the answer to a question that was sent: nothing, if
/// they do not answer it or are of no use.
#[must_use]
pub fn scrubbed(sent: &Message, octets: &[u8]) -> Option<Forwarded> {
    let message = exchange::answer_to(sent, octets)?;
    let query = sent.queries.first()?;
    Some(outcome::scrub(query, message, |_| false).ok()?.answer(query))
}

impl Shared {
    /// Whether a name is ours to tell of: something of ours has it, it is below an own domain or
    /// a network, or it is for special use.
    fn is_ours(&self, name: &WireName, policy: &Policy) -> bool {
        let Ok(name) = Name::from_labels(name.iter()) else { return false };
        if !matches!(outside(&name, &policy.forward), Outside::Leaves(_)) {
            return true;
        }
        let lookup = self.directory.resolve(&name, RecordType::Other, policy, &View::All);
        !matches!(lookup.found, Found::Nothing)
            || !matches!(lookup.zone, Zone::Foreign | Zone::Root)
    }
}

impl Mark {
    fn option(self) -> EdnsOption {
        EdnsOption::Unknown(MARK_OPTION, self.0.to_vec())
    }
}

/// Meta types (RFC 6895 section 3.1: 128 to 255) are no data, but for ANY.
fn is_data(qtype: WireType) -> bool {
    let number = u16::from(qtype);
    let meta = (128..=255).contains(&number) || number == 0 || qtype == WireType::OPT;
    !meta || qtype == WireType::ANY
}
