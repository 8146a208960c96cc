//! The pure core: names, endpoints, changes, the registry, views and the decision.
//!
//! Nothing here does I/O, logs, reads a clock or draws a random number; the one piece of shared
//! state is the turn counter of a [`Ring`].

mod access;
mod change;
mod choose;
mod decide;
mod endpoint;
mod engine_url;
mod few;
mod forward;
mod name;
mod outside;
mod policy;
mod reading;
mod record_set;
mod registry;
mod reverse;
mod ring;
mod selection;
mod service;
mod statics;
mod turns;
mod upstream;
mod view;
mod warning;

pub use access::{Access, Range, RangeError};
pub use change::{Change, Client, Member, Update};
pub use choose::{Address, Asker, PlainTurn, choose, plain_turn, remains};
pub use decide::{Decision, Draw, Found, Outcome, Question, Reason, RecordType, Zone, decide};
pub use endpoint::{
    Condition, Container, ContainerId, Endpoint, Labels, Link, NameSource, Network, NetworkId,
    Port, Rank, Reach, Subnet, SubnetError,
};
pub use engine_url::{EngineUrl, UrlError};
pub use few::Few;
pub use forward::{Forward, ForwardDomain, RESOLV_CONF, is_listening};
pub use name::{Name, NameError};
pub use outside::{Outside, Special, SpecialUse, is_local, outside};
pub use policy::Policy;
pub use reading::{Domains, Reading, readings};
pub use record_set::{Health, HealthError, Place, RecordSet};
pub use registry::Registry;
pub use reverse::Reverse;
pub use ring::{Ring, Spoke};
pub use selection::{Answers, Order, Overrides, Pattern, Rules, Selection, SelectionError};
pub use service::{Service, Wanted};
pub use statics::{StaticData, StaticError, StaticFound, StaticNames, StaticRecord, StaticSet};
pub use turns::{Turn, Turns};
pub use upstream::{Transport, Upstream, UpstreamError, nameservers};
pub use view::{Scope, Sight, View};
pub use warning::{Warning, What, warnings_of, warnings_of_domains};
