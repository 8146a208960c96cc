//! The engine's JSON, as bollard reads it, in the model's terms.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{EndpointSettings, EventMessage, EventMessageTypeEnum};

use super::super::labels::Spoken;
use super::super::names::NameList;
use super::Target;
use super::inspect::{Inspected, InspectedNetwork, IpamConfig, State};
use super::signals::{self, Sent, told_to_stop};
use crate::model::{
    Change, Condition, Container, ContainerId, Endpoint, Link, Name, NameSource, Network,
    NetworkId, Reach, Subnet,
};

/// A container as a change, and the names that had to be left out.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// What it means to the directory.
    pub change: Change,
    /// The names, as the engine says them.
    pub invalid: Vec<String>,
}

/// What an event hints at.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// One thing that may have changed.
    Target(Target),
    /// A container was sent a signal, then, by the engine's clock in nanoseconds since 1970.
    Signal(ContainerId, u8, i128),
    /// A container has ended, then.
    Died(ContainerId, i128),
    /// More than one thing, unnamed.
    Everything,
    /// Nothing that matters to names.
    Nothing,
}

/// Reads `GET /containers/ID/json`. Only `State.Running` says that it runs: after a crash of the
/// daemon an exited container can still show an address.
#[must_use]
pub fn container(id: &ContainerId, inspect: Inspected, sent: &Sent) -> Translated {
    let gone = Translated { change: Change::ContainerGone(id.clone()), invalid: Vec::new() };
    let state = inspect.state.unwrap_or_default();
    let config = inspect.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let labels = Spoken::read(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    if state.running != Some(true) || labels.ignore {
        return gone;
    }
    let name = inspect.name.unwrap_or_default();
    let name = name.strip_prefix('/').unwrap_or(&name);
    let host_config = inspect.host_config.unwrap_or_default();
    let networks = inspect.network_settings.and_then(|s| s.networks).unwrap_or_default();
    let hostname = config.hostname.unwrap_or_default();
    let mut names = NameList::default();
    names.add(name, NameSource::Name);
    names.add(id.short(), NameSource::ShortId);
    names.add(&hostname, NameSource::Hostname);
    labels.aliases.iter().for_each(|alias| names.add(alias, NameSource::Label));
    let mut invalid = [names.invalid, labels.invalid.clone()].concat();
    let links = host_config.links.unwrap_or_default();
    let reach = match host_config.network_mode.as_deref().unwrap_or_default() {
        "host" => Reach::Host,
        mode => match mode.strip_prefix("container:") {
            Some(other) => Reach::SharedWith(ContainerId(other.into())),
            None => {
                Reach::Endpoints(endpoints(&names.valid, networks, &links, &mut invalid).into())
            }
        },
    };
    invalid.sort_unstable();
    invalid.dedup();
    let exposed: Vec<String> = config.exposed_ports.unwrap_or_default().into_keys().collect();
    let container = Container {
        id: id.clone(),
        name: name.into(),
        names: names.valid.into(),
        started: signals::nanoseconds(state.started_at.as_deref().unwrap_or_default())
            .and_then(|at| at.try_into().ok())
            .unwrap_or(0),
        condition: condition(&state, sent, config.stop_signal.as_deref()),
        labels: labels.answers,
        reach,
        ports: labels.ports(&exposed),
    };
    Translated { change: Change::Container(container), invalid }
}

/// Reads a network of `GET /networks`.
#[must_use]
pub fn network(id: &NetworkId, inspect: InspectedNetwork) -> Change {
    let configs = inspect.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let has_bridge = inspect.driver.as_deref() == Some("bridge");
    Change::Network(Network {
        id: id.clone(),
        name: inspect.name.unwrap_or_default().into(),
        internal: inspect.internal.unwrap_or_default(),
        subnets: configs.iter().filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect(),
        gateways: configs.iter().filter_map(|config| gateway(config, has_bridge)).collect(),
    })
}

/// The gateway of one range. Engines before 23.0 do not tell one that they have chosen; of a
/// bridge it is the first address that they give away.
fn gateway(config: &IpamConfig, has_bridge: bool) -> Option<IpAddr> {
    if let Some(text) = config.gateway.as_ref().filter(|text| !text.is_empty()) {
        // Some engines write the gateway with its prefix.
        return text.split('/').next()?.parse().ok();
    }
    let subnet: Subnet = config.subnet.as_ref()?.parse().ok()?;
    let range = config.ip_range.as_ref().and_then(|range| range.parse().ok()).unwrap_or(subnet);
    subnet.first_host_in(&range).filter(|_| has_bridge)
}

/// What an event hints at. Only its type, action and ids are read: labels of a container
/// overwrite other attributes, so whoever starts a container could forge them.
#[must_use]
pub fn event(event: EventMessage) -> Seen {
    let action = event.action.unwrap_or_default();
    let actor = event.actor.unwrap_or_default();
    let id = actor.id.unwrap_or_default();
    match event.typ {
        // `prune` names nobody.
        Some(EventMessageTypeEnum::CONTAINER | EventMessageTypeEnum::NETWORK) if id.is_empty() => {
            Seen::Everything
        }
        Some(EventMessageTypeEnum::CONTAINER) if changes_nothing(&action) => Seen::Nothing,
        Some(EventMessageTypeEnum::CONTAINER) if action == "kill" => {
            let attributes = actor.attributes.unwrap_or_default();
            // A label may forge the signal; who sets it harms no container but that one.
            let signal = attributes.get("signal").and_then(|signal| signals::number(signal));
            let at = i128::from(event.time_nano.unwrap_or_default());
            Seen::Signal(ContainerId(id.into()), signal.unwrap_or_default(), at)
        }
        Some(EventMessageTypeEnum::CONTAINER) if action == "die" => {
            Seen::Died(ContainerId(id.into()), i128::from(event.time_nano.unwrap_or_default()))
        }
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

fn condition(state: &State, sent: &Sent, stop_signal: Option<&str>) -> Condition {
    if told_to_stop(sent, stop_signal, state.started_at.as_deref().unwrap_or_default()) {
        return Condition::Draining;
    }
    if state.paused == Some(true) {
        return Condition::Paused;
    }
    match state.health.as_ref().and_then(|health| health.status.as_deref()) {
        Some("healthy") => Condition::Healthy,
        Some("starting") => Condition::Starting,
        Some("unhealthy") => Condition::Unhealthy,
        _ => Condition::Running,
    }
}

/// The attachments that have an address, in an order of their own: the engine's map has none, and
/// equal states must be equal.
fn endpoints(
    names: &[(Name, NameSource)],
    networks: HashMap<String, EndpointSettings>,
    bridge_links: &[String],
    invalid: &mut Vec<String>,
) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for (network_name, settings) in networks {
        let v4 = settings.ip_address.and_then(|text| text.parse().ok());
        let v6 = settings.global_ipv6_address.and_then(|text| text.parse().ok());
        let Some(network) = settings.network_id.filter(|id| !id.is_empty()) else { continue };
        if v4.is_none() && v6.is_none() {
            continue;
        }
        // `DNSNames` has them all since API 1.44; `Aliases` has the short id before API 1.45.
        let mut aliases = NameList::default();
        let texts = settings.aliases.iter().chain(&settings.dns_names).flatten();
        texts.for_each(|text| aliases.add(text, NameSource::Alias));
        aliases.valid.retain(|(alias, _)| names.iter().all(|(name, _)| name != alias));
        invalid.append(&mut aliases.invalid);
        let own_links = settings.links.unwrap_or_default();
        let links = if network_name == "bridge" { bridge_links } else { &own_links[..] };
        endpoints.push(Endpoint {
            network: NetworkId(network.into()),
            v4,
            v6,
            aliases: aliases.valid.into_iter().map(|(alias, _)| alias).collect(),
            links: links.iter().filter_map(|text| link(text)).collect(),
        });
    }
    endpoints.sort_by(|a, b| a.network.cmp(&b.network));
    endpoints
}

/// `web:db`, or `/web:/client/db` on the default bridge.
fn link(text: &str) -> Option<Link> {
    let (target, alias) = text.split_once(':')?;
    let target = target.trim_start_matches('/');
    // A link by a full id: the short one is a name.
    let is_id = target.len() == 64 && target.bytes().all(|octet| octet.is_ascii_hexdigit());
    let target = if is_id { &target[..12] } else { target };
    let alias = alias.rsplit('/').next()?;
    Some(Link { alias: Name::parse(alias).ok()?, target: Name::parse(target).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Few;
    use serde_json::{Value, json};

    const ID: &str = "714e6318fa4ee96e541315a25dcbc71c96245ff8a0c85a217ae5978dd0738724";

    fn id() -> ContainerId {
        ContainerId(ID.into())
    }

    /// As Docker 20.10 (API 1.41) answers for a container on one network.
    fn inspect() -> Value {
        json!({
            "Id": ID,
            "Name": "/web1",
            "State": {"Status": "running", "Running": true, "Paused": false},
            "HostConfig": {"NetworkMode": "netlb", "Links": null},
            "Config": {
                "Hostname": "714e6318fa4e",
                "Env": ["PASSWORD=secret"],
                "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
                "Labels": {"netalias.port.http": "80/tcp", "netalias.alias": "www, site,"}
            },
            "NetworkSettings": {"Networks": {"netlb": {
                "Links": ["db1:db"],
                "Aliases": ["inner-dns-net", "714e6318fa4e"],
                "NetworkID": "n1",
                "IPAddress": "172.200.1.2",
                "GlobalIPv6Address": "",
                "DNSNames": null
            }}}
        })
    }

    fn translated(inspect: Value) -> Translated {
        container(&id(), serde_json::from_value(inspect).unwrap(), &Sent::new())
    }

    fn running(inspect: Value) -> Container {
        match translated(inspect).change {
            Change::Container(container) => container,
            other => panic!("{other:?}"),
        }
    }

    fn texts(names: &[Name]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn only_endpoint(container: &Container) -> &Endpoint {
        match &container.reach {
            Reach::Endpoints(endpoints) if endpoints.len() == 1 => &endpoints[0],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_what_docker_20_10_says() {
        let container = running(inspect());
        let names: Vec<_> = container.names.iter().map(|(n, s)| (n.to_string(), *s)).collect();
        let name = |text: &str, source| (text.to_owned(), source);
        assert_eq!(
            names,
            [
                name("web1", NameSource::Name),
                name("714e6318fa4e", NameSource::ShortId),
                name("www", NameSource::Label),
                name("site", NameSource::Label),
            ]
        );
        let endpoint = only_endpoint(&container);
        assert_eq!(texts(&endpoint.aliases), ["inner-dns-net"], "the short id is no alias");
        assert_eq!((endpoint.v4, endpoint.v6), ("172.200.1.2".parse().ok(), None));
        assert_eq!(endpoint.links[0].alias.to_string(), "db");
        assert_eq!(endpoint.links[0].target.to_string(), "db1");
        let ports = container.ports.iter().map(|p| (p.number, &*p.protocol, texts(&p.services)));
        assert_eq!(
            ports.collect::<Vec<_>>(),
            [(53, "udp", vec![]), (80, "tcp", vec!["http".to_owned()])]
        );
        let kept: Inspected = serde_json::from_value(inspect()).unwrap();
        assert!(!format!("{kept:?}{container:?}").contains("secret"), "not even read");
    }

    #[test]
    fn reads_the_same_from_newer_engines() {
        let mut newer = inspect();
        let settings = &mut newer["NetworkSettings"]["Networks"]["netlb"];
        settings["Aliases"] = json!(["inner-dns-net"]);
        settings["DNSNames"] = json!(["web1", "inner-dns-net", "714e6318fa4e"]);
        assert_eq!(running(newer), running(inspect()));
    }

    #[test]
    fn an_exited_container_may_show_an_address_and_is_gone() {
        let mut exited = inspect();
        exited["State"] = json!({"Status": "exited", "Running": false});
        assert_eq!(translated(exited).change, Change::ContainerGone(id()));
        let mut ignored = inspect();
        ignored["Config"]["Labels"] = json!({"netalias.ignore": "true"});
        assert_eq!(translated(ignored).change, Change::ContainerGone(id()));
    }

    #[test]
    fn an_invalid_name_is_left_out_and_named_and_nothing_else_suffers() {
        let mut odd = inspect();
        let aliases = json!(["in valid", "fine", "a..b", "x".repeat(64)]);
        odd["NetworkSettings"]["Networks"]["netlb"]["Aliases"] = aliases;
        let translated = translated(odd.clone());
        assert_eq!(translated.invalid, ["a..b".to_owned(), "in valid".to_owned(), "x".repeat(64)]);
        assert_eq!(texts(&only_endpoint(&running(odd)).aliases), ["fine"]);
    }

    #[test]
    fn the_network_mode_says_how_it_is_reached() {
        let reach = |mode: &str| {
            let mut inspect = inspect();
            inspect["HostConfig"]["NetworkMode"] = json!(mode);
            running(inspect).reach
        };
        assert_eq!(reach("host"), Reach::Host);
        assert_eq!(reach("container:c1"), Reach::SharedWith(ContainerId("c1".into())));
        let mut none = inspect();
        none["NetworkSettings"]["Networks"] = json!({"none": {"NetworkID": "n0", "IPAddress": ""}});
        assert_eq!(running(none).reach, Reach::Endpoints(Few::default()));
    }

    #[test]
    fn a_container_that_was_told_to_stop_is_draining_until_it_starts_again() {
        let condition = |started: &str| {
            let mut stopping = inspect();
            stopping["State"]["StartedAt"] = json!(started);
            let sent = Sent::from([(15, 1_795_500_000_000_000_000)]);
            match container(&id(), serde_json::from_value(stopping).unwrap(), &sent).change {
                Change::Container(container) => container.condition,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(condition("2026-11-24T05:00:00.5Z"), Condition::Draining);
        assert_eq!(condition("2026-11-24T06:00:00.5Z"), Condition::Running);
    }

    #[test]
    fn links_of_the_default_bridge_stand_elsewhere() {
        let mut bridged = inspect();
        bridged["HostConfig"]["Links"] = json!(["/db1:/web1/db", format!("/{ID}:/web1/self")]);
        let networks = json!({"bridge": {"NetworkID": "b", "IPAddress": "172.17.0.2"}});
        bridged["NetworkSettings"]["Networks"] = networks;
        let container = running(bridged);
        let links = &only_endpoint(&container).links;
        let texts: Vec<_> = links.iter().map(|l| format!("{}={}", l.alias, l.target)).collect();
        assert_eq!(texts, ["db=db1", "self=714e6318fa4e"]);
    }

    #[test]
    fn a_bridge_without_a_told_gateway_has_the_first_address_it_gives_away() {
        let gateways = |driver: &str, config: Value| {
            let inspect = json!({"Name": "n", "Driver": driver, "IPAM": {"Config": [config]}});
            match network(&NetworkId("n".into()), serde_json::from_value(inspect).unwrap()) {
                Change::Network(network) => network.gateways,
                other => panic!("{other:?}"),
            }
        };
        let address = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
        let subnet = json!({"Subnet": "10.5.0.0/16"});
        assert_eq!(gateways("bridge", subnet.clone()), address("10.5.0.1"));
        assert_eq!(gateways("overlay", subnet), [] as [IpAddr; 0]);
        let range = json!({"Subnet": "10.5.0.0/16", "IPRange": "10.5.5.0/24"});
        assert_eq!(gateways("bridge", range), address("10.5.5.0"));
        let told = json!({"Subnet": "fe80::/64", "Gateway": "fe80::1/64"});
        assert_eq!(gateways("bridge", told), address("fe80::1"));
    }

    #[test]
    fn events_are_hints_by_type_action_and_id_alone() {
        let seen = |event: Value| event_of(event);
        let container = |action: &str| {
            seen(json!({"Type": "container", "Action": action, "Actor": {"ID": ID,
                "Attributes": {"container": "spoof", "name": "spoof"}}}))
        };
        let hint = || Seen::Target(Target::Container(id()));
        for action in ["start", "died", "health_status: healthy", "rename", "cleanup", "unheard-of"]
        {
            assert_eq!(container(action), hint(), "{action}");
        }
        for action in ["exec_create: sh -c true", "exec_start: sh", "exec_die", "attach", "top"] {
            assert_eq!(container(action), Seen::Nothing, "{action}");
        }
        let network = |action: &str, id: &str, attributes: Value| {
            let actor = json!({"ID": id, "Attributes": attributes});
            seen(json!({"Type": "network", "Action": action, "Actor": actor}))
        };
        assert_eq!(network("connect", "n1", json!({"container": ID})), hint());
        assert_eq!(network("disconnect", "n1", json!({})), Seen::Everything);
        let on_network = Seen::Target(Target::Network(NetworkId("n1".into())));
        assert_eq!(network("destroy", "n1", json!({})), on_network);
        assert_eq!(network("prune", "", json!({})), Seen::Everything);
        assert_eq!(seen(json!({"Type": "image", "Action": "pull"})), Seen::Nothing);
        let attributes = json!({"signal": "15"});
        let actor = json!({"ID": ID, "Attributes": attributes});
        let kill = json!({"Type": "container", "Action": "kill", "Actor": actor, "timeNano": 7});
        assert_eq!(seen(kill), Seen::Signal(id(), 15, 7));
        let die = json!({"Type": "container", "Action": "die", "Actor": {"ID": ID}, "timeNano": 7});
        assert_eq!(seen(die), Seen::Died(id(), 7));
    }

    fn event_of(event: Value) -> Seen {
        super::event(serde_json::from_value(event).unwrap())
    }
}
