//! Why the engine refuses a command.

use std::net::IpAddr;

/// Why a command cannot be carried out, in Docker's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No container of that name or id.
    #[error("no such container: {0}")]
    NoContainer(String),
    /// No network of that name.
    #[error("network {0} not found")]
    NoNetwork(String),
    /// Two containers cannot share a name.
    #[error("the container name {0:?} is already in use")]
    NameInUse(String),
    /// Two networks of one name would make commands ambiguous.
    #[error("network with name {0} already exists")]
    NetworkExists(String),
    /// `docker network rm` of a network in use.
    #[error("network {0} has active endpoints")]
    NetworkInUse(String),
    /// A range that another network has.
    #[error("pool overlaps with other one on this address space: {0}")]
    Overlap(String),
    /// The address is taken.
    #[error("address already in use: {0}")]
    AddressInUse(IpAddr),
    /// The address is in no range of the network.
    #[error("no configured subnet contains the address {0}")]
    AddressOutside(IpAddr),
    /// Every address of the range is taken.
    #[error("no available addresses on network {0}")]
    Exhausted(String),
    /// The container is attached already.
    #[error("{0} is already attached to network {1}")]
    Attached(String, String),
    /// The container is not attached.
    #[error("container {0} is not connected to network {1}")]
    NotAttached(String, String),
    /// The default bridge has no aliases.
    #[error("network-scoped alias is supported only for containers in user defined networks")]
    AliasOnBridge,
    /// A running container is removed only by force.
    #[error("you cannot remove a running container {0}: stop it, or use -f")]
    Running(String),
    /// A container that must run does not.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// It is running, but frozen.
    #[error("container {0} is paused: unpause it first")]
    Paused(String),
    /// `docker unpause` of one that is not.
    #[error("container {0} is not paused")]
    NotPaused(String),
    /// Docker's names are plainer than DNS's.
    #[error("invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    /// `docker rename` to the name that it has.
    #[error("renaming a container with the same name as its current name")]
    SameName,
    /// The engine's own networks stay.
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    /// The gateway is in none of the network's ranges.
    #[error("no matching subnet for gateway {0}")]
    GatewayOutside(IpAddr),
    /// The default bridge gives addresses as it likes.
    #[error("user specified IP address is supported on user defined networks only")]
    AddressOnBridge,
    /// An option that the container's network mode leaves no sense.
    #[error("conflicting options: {0} and the network mode")]
    Conflict(&'static str),
    /// The other container has no network to share.
    #[error("cannot join network of a non running container: {0}")]
    CannotJoin(String),
    /// It has the network of another container, and that only.
    #[error(
        "container sharing network namespace with another container or host cannot be connected \
         to any other network"
    )]
    SharedNetwork,
    /// The host's network is for good.
    #[error("container cannot be disconnected from host network or connected to host network")]
    HostNetwork,
    /// `none` goes with nothing else.
    #[error(
        "container cannot be connected to multiple networks with one of the networks in private \
         (none) mode"
    )]
    PrivateNetwork,
    /// Links on the default bridge are between its containers.
    #[error("cannot link to {0}, as it does not belong to the default network")]
    LinkOutside(String),
    /// A link on the default bridge to a container that is down.
    #[error("cannot link to a non running container: {0}")]
    LinkDown(String),
    /// A health check that does not exist cannot find anything.
    #[error("container {0} has no health check: give it one with --health-cmd")]
    NoHealthCheck(String),
}
