//! The pure core: names, endpoints, changes, the registry, views and the decision.
//!
//! Nothing here does I/O, logs, reads a clock or draws a random number; the one piece of shared
//! state is the turn counter of a [`Ring`].

mod change;
mod decide;
mod endpoint;
mod engine_url;
mod name;
mod reading;
mod record_set;
mod registry;
mod view;

pub use change::{Change, Member, Update};
pub use decide::{Decision, Found, Outcome, Reason, RecordType, Zone, decide};
pub use endpoint::{
    Condition, Container, ContainerId, Endpoint, Network, NetworkId, Rank, Subnet, SubnetError,
};
pub use engine_url::{EngineUrl, UrlError};
pub use name::{Name, NameError};
pub use reading::{Domains, Reading, readings};
pub use record_set::{Health, HealthError, RecordSet, Ring};
pub use registry::Registry;
pub use view::View;
