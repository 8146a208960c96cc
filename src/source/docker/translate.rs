//! The engine's JSON, as bollard reads it, in the model's terms.

use bollard::models::{
    ContainerInspectResponse, ContainerState, EndpointSettings, EventMessage, EventMessageTypeEnum,
    HealthStatusEnum, NetworkInspect,
};

use super::Target;
use super::engine::Seen;
use crate::model::{Change, Condition, Container, ContainerId, Endpoint, Name, Network, NetworkId};

/// A container as a change, and the names that had to be left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) change: Change,
    pub(super) invalid: Vec<String>,
}

/// Reads `GET /containers/ID/json`. Only `State.Running` says that it runs: after a crash of the
/// daemon an exited container can still show an address.
pub(super) fn container(id: &ContainerId, inspect: ContainerInspectResponse) -> Translated {
    let state = inspect.state.unwrap_or_default();
    if state.running != Some(true) {
        return Translated { change: Change::ContainerGone(id.clone()), invalid: Vec::new() };
    }
    let name = inspect.name.unwrap_or_default();
    let name = name.strip_prefix('/').unwrap_or(&name);
    let hostname = inspect.config.and_then(|config| config.hostname).unwrap_or_default();
    let networks = inspect.network_settings.and_then(|settings| settings.networks);
    let mut invalid = Vec::new();
    let mut endpoints: Vec<Endpoint> = networks
        .unwrap_or_default()
        .into_values()
        .filter_map(|settings| endpoint(id, name, &hostname, settings, &mut invalid))
        .collect();
    // The engine's map has no order of its own; equal states must be equal.
    endpoints.sort_by(|a, b| a.network.cmp(&b.network));
    invalid.sort_unstable();
    invalid.dedup();
    let condition = condition(&state);
    let container = Container { id: id.clone(), name: name.into(), condition, endpoints };
    Translated { change: Change::Container(container), invalid }
}

/// Reads `GET /networks/ID`.
pub(super) fn network(id: &NetworkId, inspect: NetworkInspect) -> Change {
    let configs = inspect.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    Change::Network(Network {
        id: id.clone(),
        name: inspect.name.unwrap_or_default().into(),
        internal: inspect.internal.unwrap_or_default(),
        subnets: configs.iter().filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect(),
    })
}

/// What an event hints at. Only its type, action and ids are read: labels of a container
/// overwrite other attributes, so whoever starts a container could forge them.
pub(super) fn event(event: EventMessage) -> Seen {
    let action = event.action.unwrap_or_default();
    let actor = event.actor.unwrap_or_default();
    let id = actor.id.unwrap_or_default();
    match event.typ {
        // `prune` names nobody.
        Some(EventMessageTypeEnum::CONTAINER | EventMessageTypeEnum::NETWORK) if id.is_empty() => {
            Seen::Everything
        }
        Some(EventMessageTypeEnum::CONTAINER) if changes_nothing(&action) => Seen::Nothing,
        Some(EventMessageTypeEnum::CONTAINER) => {
            Seen::Target(Target::Container(ContainerId(id.into())))
        }
        // Network events carry no labels, so here the attribute is the engine's own.
        Some(EventMessageTypeEnum::NETWORK) if matches!(&*action, "connect" | "disconnect") => {
            match actor.attributes.unwrap_or_default().remove("container") {
                Some(container) => Seen::Target(Target::Container(ContainerId(container.into()))),
                None => Seen::Everything,
            }
        }
        Some(EventMessageTypeEnum::NETWORK) => Seen::Target(Target::Network(NetworkId(id.into()))),
        _ => Seen::Nothing,
    }
}

/// Actions that are frequent and leave names, addresses and state as they are. An action that is
/// not listed is a hint, whatever it means.
fn changes_nothing(action: &str) -> bool {
    // `exec_start: COMMAND` and the like come at each run of a health check.
    let verb = action.split(':').next().unwrap_or(action);
    matches!(
        verb,
        "exec_create"
            | "exec_start"
            | "exec_die"
            | "exec_detach"
            | "attach"
            | "detach"
            | "resize"
            | "top"
            | "copy"
            | "export"
            | "archive-path"
            | "extract-to-dir"
            | "commit"
    )
}

fn condition(state: &ContainerState) -> Condition {
    if state.paused == Some(true) {
        return Condition::Paused;
    }
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => Condition::Healthy,
        Some(HealthStatusEnum::STARTING) => Condition::Starting,
        Some(HealthStatusEnum::UNHEALTHY) => Condition::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Condition::Running,
    }
}

/// One attachment; None without an address (`--network none`, `host`, or not plumbed yet).
fn endpoint(
    id: &ContainerId,
    name: &str,
    hostname: &str,
    settings: EndpointSettings,
    invalid: &mut Vec<String>,
) -> Option<Endpoint> {
    let v4 = settings.ip_address.and_then(|text| text.parse().ok());
    let v6 = settings.global_ipv6_address.and_then(|text| text.parse().ok());
    let network = settings.network_id.filter(|id| !id.is_empty())?;
    if v4.is_none() && v6.is_none() {
        return None;
    }
    // The order of Docker's buildEndpointDNSNames. `DNSNames` says the same since API 1.44, and
    // `Aliases` has the short id among them before API 1.45.
    let aliases = settings.aliases.unwrap_or_default();
    let dns_names = settings.dns_names.unwrap_or_default();
    let mut texts = vec![name];
    texts.extend(aliases.iter().chain(&dns_names).map(String::as_str));
    texts.extend([id.short(), hostname]);
    let mut names = Vec::with_capacity(texts.len());
    for text in texts.into_iter().filter(|text| !text.is_empty()) {
        match Name::parse(text) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(_) => invalid.push(text.to_owned()),
        }
    }
    Some(Endpoint { network: NetworkId(network.into()), v4, v6, names })
}
