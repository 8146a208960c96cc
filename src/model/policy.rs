//! `Policy`: everything about answers that the configuration says, and that may change while
//! running.

use std::sync::Arc;

use super::{Access, ContainerId, Domains, Forward, Rules, Scope, StaticNames, StaticSet};

/// How questions are answered.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Who may ask.
    pub access: Access,
    /// In which order, how many, for how long and of what health addresses are answered.
    pub rules: Rules,
    /// The own domains.
    pub domains: Domains,
    /// What clients see that are no container.
    pub scope: Scope,
    /// The container that netalias itself runs in.
    pub own: Option<ContainerId>,
    /// Where clients that are no container reach the host; by default at the gateways.
    pub host: Option<Arc<StaticSet>>,
    /// Names that the configuration gives.
    pub statics: StaticNames,
    /// What becomes of names that are not ours.
    pub forward: Arc<Forward>,
}
