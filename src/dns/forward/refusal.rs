//! `Refusal`: why a question does not leave, and the answer that it gets instead.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SOA};
use hickory_proto::rr::{Name as WireName, RData, Record, RecordType};

use super::super::answer::wire;
use super::super::extended::{ExtendedCode, ExtendedError};
use super::Forwarded;
use crate::model::{Special, SpecialUse};
use crate::status::{Counter, Forwards};

/// Why a question does not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name is for special use, and answered here.
    Special(Special),
    /// A single label that nobody has.
    SingleLabel,
    /// Forwarding is off.
    Disabled,
    /// RD is clear: the client wants only what is known here.
    NotRecursive,
    /// The client is on internal networks only.
    NoWayOut,
    /// A type that is no data: zone transfers and the like.
    NoData,
    /// We have asked this ourselves: the server that we asked has asked us.
    Loop,
    /// Too many questions are under way.
    Busy(Limit),
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of one client.
    Client,
    /// That of all.
    All,
}

/// TTL of the loopback addresses: they never change.
const LOOPBACK_TTL: u32 = 3600;
/// TTL and MINIMUM of SOA records. Zero: such a name can become a container's, or be configured,
/// at any moment, and must then be seen at once.
const NEGATIVE_TTL: u32 = 0;

impl Refusal {
    /// The answer instead.
    #[must_use]
    pub fn answer(&self, query: &Query) -> Forwarded {
        let error = |code, kind| Forwarded {
            code,
            extended: Some(ExtendedError::new(kind, self.to_string())),
            ..Forwarded::default()
        };
        let refused = |kind| error(ResponseCode::Refused, kind);
        match self {
            Self::Special(special) => {
                let error = ExtendedError::new(ExtendedCode::Other, self.to_string());
                special_answer(special, query, error)
            }
            Self::SingleLabel => Forwarded {
                code: ResponseCode::NXDomain,
                authoritative: true,
                soa: Some(soa(WireName::root())),
                extended: Some(ExtendedError::new(ExtendedCode::Other, self.to_string())),
                ..Forwarded::default()
            },
            Self::Disabled | Self::NotRecursive => refused(ExtendedCode::NotAuthoritative),
            Self::NoWayOut => refused(ExtendedCode::Prohibited),
            Self::NoData => refused(ExtendedCode::NotSupported),
            Self::Loop | Self::Busy(_) => error(ResponseCode::ServFail, ExtendedCode::Other),
        }
    }

    /// Where it is counted.
    pub(super) fn counter<'a>(&self, forwards: &'a Forwards) -> &'a Counter {
        match self {
            Self::Special(_) | Self::SingleLabel => &forwards.local,
            Self::Disabled => &forwards.disabled,
            Self::NotRecursive => &forwards.not_recursive,
            Self::NoWayOut => &forwards.no_way_out,
            Self::NoData => &forwards.no_data,
            Self::Loop => &forwards.looped,
            Self::Busy(_) => &forwards.busy,
        }
    }
}

/// The data of a name for special use, or a negative answer with the zone's SOA.
fn special_answer(special: &Special, query: &Query, error: ExtendedError) -> Forwarded {
    let zone = wire(&special.zone);
    let data = match (special.what, query.query_type()) {
        (SpecialUse::Loopback, RecordType::A) => Some(RData::A(A(Ipv4Addr::LOCALHOST))),
        (SpecialUse::Loopback, RecordType::AAAA) => Some(RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))),
        (SpecialUse::Exists, RecordType::SOA) if *query.name() == zone => {
            Some(soa(zone.clone()).data)
        }
        _ => None,
    };
    let code = match special.what {
        SpecialUse::Nothing => ResponseCode::NXDomain,
        SpecialUse::Loopback | SpecialUse::Exists => ResponseCode::NoError,
    };
    let soa = data.is_none().then(|| soa(zone));
    let record = |data| Record::from_rdata(query.name().clone(), LOOPBACK_TTL, data);
    let answers = data.map(record).into_iter().collect();
    let extended = soa.is_some().then_some(error);
    Forwarded { code, authoritative: true, answers, soa, extended }
}

/// As RFC 6303 section 3 gives it for zones that are served locally.
fn soa(zone: WireName) -> Record {
    let nobody = WireName::from_labels(["nobody", "invalid"]).unwrap_or_else(|_| WireName::root());
    let data = SOA::new(zone.clone(), nobody, 1, 3600, 1200, 604_800, NEGATIVE_TTL);
    Record::from_rdata(zone, NEGATIVE_TTL, RData::SOA(data))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Special(_) => "a name for special use, which never leaves",
            Self::SingleLabel => "an unknown single label, which does not leave",
            Self::Disabled => "not a name of ours, and forwarding is off",
            Self::NotRecursive => "not a name of ours, and recursion is not desired",
            Self::NoWayOut => "a client on internal networks only has no way out",
            Self::NoData => "a question of this type is not passed on",
            Self::Loop => "our own question has come back: a server that we ask asks us",
            Self::Busy(Limit::Client) => "too many questions of this client are under way",
            Self::Busy(Limit::All) => "too many questions are under way",
        })
    }
}
