//! The fake engine's answers: what it has, in the JSON of the API version that is asked for.

use std::collections::HashMap;
use std::net::IpAddr;

use netalias::model::ContainerId;
use netalias::source::scenario::{
    Attachment, Book, Engine, Event, EventKind, Health, Link, NetworkMode, Port, Record, State,
};
use serde_json::{Map, Value, json};

use super::clock::rfc3339;
use super::filters::Filters;
use super::form::{Part, Parts, filled};
use super::{Api, SECRET, Version};

/// What a real engine answers where the fake one has nothing to say, from tests/data.
const TEMPLATES: &str = include_str!("templates.json");
/// What an engine says for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";
/// From this API version on an endpoint says what it is called.
const DNS_NAMES: Version = (1, 44);
/// From this one on aliases are only what was asked for.
const ALIASES_AS_GIVEN: Version = (1, 45);
/// From this one on an endpoint has a priority as gateway.
const GATEWAY_PRIORITY: Version = (1, 48);

/// The engine, and when things happened to it.
pub(super) struct Books {
    pub(super) engine: Engine,
    /// When the networks of the start were made.
    began: u64,
    times: HashMap<String, Times>,
    templates: Value,
}

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Default)]
struct Times {
    created: u64,
    started: Option<u64>,
    finished: Option<u64>,
}

impl Books {
    pub(super) fn new(now: u64) -> Self {
        let templates = serde_json::from_str(TEMPLATES).expect("the templates are JSON");
        Self { engine: Engine::default(), began: now, times: HashMap::new(), templates }
    }

    /// Keeps when it happened.
    pub(super) fn note(&mut self, event: &Event, now: u64) {
        let times = self.times.entry(event.id.clone()).or_default();
        match (event.kind, event.action.as_str()) {
            (_, "create") => times.created = now,
            (_, "destroy") => drop(self.times.remove(&event.id)),
            (EventKind::Container, "start") => times.started = Some(now),
            (EventKind::Container, "die") => times.finished = Some(now),
            _ => {}
        }
    }

    pub(super) fn version(&self, api: Api) -> Value {
        let mut version = self.templates["version"].clone();
        for part in ["", "/Components/0/Details"] {
            let part = version.pointer_mut(part).expect("the template has it");
            part["ApiVersion"] = text(api.newest).into();
            part["MinAPIVersion"] = text(api.oldest).into();
        }
        version
    }

    /// What is in `GET /containers/json`, the newest first.
    pub(super) fn listed(&self, all: bool, wanted: &Filters) -> Vec<ContainerId> {
        let shown =
            |r: &&Record| (all || r.state.is_running()) && wanted.label_matches(&r.run.labels);
        let mut records: Vec<&Record> = self.engine.records().filter(shown).collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.number));
        records.into_iter().map(|record| record.id.clone()).collect()
    }

    /// A part of that list, without its brackets.
    pub(super) fn list(&self, ids: &[ContainerId], api: Version) -> String {
        let records = ids.iter().filter_map(|id| self.engine.record(&id.0).ok());
        let listed: Vec<String> = records.map(|record| self.list_one(record, api)).collect();
        listed.join(",")
    }

    fn list_one(&self, record: &Record, api: Version) -> String {
        let endpoints = self.endpoints(record, api).into_iter().map(|(name, mut endpoint)| {
            // Only an inspect tells these.
            for (key, part) in &mut endpoint {
                if matches!(*key, "Links" | "Aliases" | "DriverOpts" | "DNSNames") {
                    *part = Value::Null.into();
                }
            }
            (name, endpoint)
        });
        let networks = self.networks_of(endpoints);
        let parts = [
            ("Id", json!(&*record.id.0).into()),
            ("Names", json!([format!("/{}", record.name)]).into()),
            ("Image", json!(record.run.image).into()),
            ("Command", json!(record.run.command.join(" ")).into()),
            ("Created", json!(self.times(&record.id).created / 1_000_000_000).into()),
            ("Ports", listed_ports(record).into()),
            ("Labels", json!(record.run.labels).into()),
            ("State", json!(record.state.as_str()).into()),
            ("Status", json!(status(record)).into()),
            ("HostConfig", json!({ "NetworkMode": network_mode(record) }).into()),
            ("NetworkSettings", Part::Text(format!("{{\"Networks\":{networks}}}"))),
        ];
        filled(&self.templates["listed"], &parts)
    }

    /// `GET /containers/NAME/json`
    pub(super) fn inspect(&self, name: &str, api: Version) -> Option<String> {
        let record = self.engine.record(name).ok()?;
        let template = &self.templates["inspect"];
        let times = self.times(&record.id);
        let mut parts = vec![
            ("Id", json!(&*record.id.0).into()),
            ("Created", json!(rfc3339(times.created)).into()),
            ("Path", json!(record.run.command.first().map_or("sh", String::as_str)).into()),
            ("Args", json!(record.run.command.get(1..).unwrap_or_default()).into()),
            ("State", state(record, times).into()),
            ("Name", json!(format!("/{}", record.name)).into()),
        ];
        parts.extend(files(record));
        let host_config = filled(&template["HostConfig"], &self.host_config(record));
        parts.push(("HostConfig", Part::Text(host_config)));
        parts.push(("Config", Part::Text(filled(&template["Config"], &config(record)))));
        let settings = self.network_settings(record, api);
        let settings = filled(&template["NetworkSettings"], &settings);
        parts.push(("NetworkSettings", Part::Text(settings)));
        Some(filled(template, &parts))
    }

    fn host_config(&self, record: &Record) -> Parts {
        let bindings = record.run.published.iter();
        let bindings = bindings.map(|p| (p.to_string(), json!([{"HostIp": "", "HostPort": ""}])));
        let policy = record.run.restart.as_deref().unwrap_or("no");
        let policy = json!({ "Name": policy, "MaximumRetryCount": 0 });
        let mut parts = vec![
            ("NetworkMode", json!(network_mode(record)).into()),
            ("PortBindings", Value::Object(bindings.collect()).into()),
            ("RestartPolicy", policy.into()),
        ];
        let links = &record.run.attach.links;
        if network_mode(record) == "default" && !links.is_empty() {
            let link = |link: &Link| {
                let other = self.engine.record(&link.container).map_or("", |other| &other.name);
                json!(format!("/{other}:/{}/{}", record.name, link.alias))
            };
            parts.push(("Links", links.iter().map(link).collect::<Value>().into()));
        }
        parts
    }

    fn network_settings(&self, record: &Record, api: Version) -> Parts {
        let mut parts = Parts::new();
        let running = record.state.is_running();
        let of_another = matches!(record.mode, NetworkMode::Container(_));
        if record.state != State::Created && !of_another {
            let sandbox = derived_id(&record.id.0, "sandbox");
            let key = format!("/var/run/docker/netns/{}", &sandbox[..12]);
            parts.push(("SandboxKey", json!(key).into()));
            parts.push(("SandboxID", json!(sandbox).into()));
        }
        if running {
            let on_host = |port: &Port| {
                let number = host_port(port).to_string();
                json!([{ "HostIp": "0.0.0.0", "HostPort": number }])
            };
            let exposed = record.run.exposed.iter().map(|port| (port.to_string(), Value::Null));
            let published = record.run.published.iter().map(|p| (p.to_string(), on_host(p)));
            let ports = Value::Object(exposed.chain(published).collect());
            parts.push(("Ports", ports.into()));
        }
        let endpoints = self.endpoints(record, api);
        if let Some((_, bridge)) = endpoints.iter().find(|(name, _)| name == "bridge") {
            let keys = ["EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress"];
            parts.extend(bridge.iter().filter(|(key, _)| keys.contains(key)).cloned());
        }
        parts.push(("Networks", Part::Text(self.networks_of(endpoints))));
        parts
    }

    /// Endpoints as an object, by the names of their networks.
    fn networks_of(&self, endpoints: impl IntoIterator<Item = (String, Parts)>) -> String {
        let endpoints = endpoints.into_iter().map(|(name, endpoint)| {
            format!("{}:{}", json!(name), filled(&self.templates["endpoint"], &endpoint))
        });
        format!("{{{}}}", endpoints.collect::<Vec<_>>().join(","))
    }

    fn endpoints(&self, record: &Record, api: Version) -> Vec<(String, Parts)> {
        let attached = record.attachments.iter().filter_map(|attachment| {
            let book = self.engine.network(&attachment.network.0).ok()?;
            Some((book.network.name.to_string(), endpoint(record, attachment, book, api)))
        });
        attached.collect()
    }

    /// `GET /networks`: no containers in it.
    pub(super) fn networks(&self, wanted: &Filters) -> String {
        let matches = |book: &&Book| {
            wanted.label_matches(&book.labels) && wanted.id_matches(&book.network.id.0)
        };
        let books = self.engine.books().iter().filter(matches);
        books.map(|book| self.network_of(book)).collect::<Value>().to_string()
    }

    /// `GET /networks/NAME`
    pub(super) fn network(&self, name: &str) -> Option<Value> {
        let book = self.engine.network(name).ok()?;
        let mut network = self.network_of(book);
        let mut containers = Map::new();
        for record in self.engine.records().filter(|record| record.state.is_running()) {
            let on_it = |a: &&Attachment| a.network == book.network.id;
            let Some(attachment) = record.attachments.iter().find(on_it) else { continue };
            let cidr = |address: IpAddr| {
                let subnet = book.network.subnets.iter().find(|s| s.contains(address));
                format!("{address}/{}", subnet.map_or(0, |subnet| subnet.prefix))
            };
            let member = json!({
                "Name": record.name,
                "EndpointID": derived_id(&record.id.0, &book.network.id.0),
                "MacAddress": attachment.v4.map_or(String::new(), |v4| mac(v4.octets())),
                "IPv4Address": attachment.v4.map_or(String::new(), |v4| cidr(v4.into())),
                "IPv6Address": attachment.v6.map_or(String::new(), |v6| cidr(v6.into())),
            });
            containers.insert(record.id.0.to_string(), member);
        }
        network["Containers"] = Value::Object(containers);
        Some(network)
    }

    fn network_of(&self, book: &Book) -> Value {
        let mut network = self.templates["network"].clone();
        let id = &book.network.id.0;
        let created = self.times.get(&**id).map_or(self.began, |times| times.created);
        network["Name"] = json!(&*book.network.name);
        network["Id"] = json!(&**id);
        network["Created"] = json!(rfc3339(created));
        network["Driver"] = json!(book.driver);
        network["Internal"] = json!(book.network.internal);
        network["Labels"] = json!(book.labels);
        network["EnableIPv6"] = json!(book.network.subnets.iter().any(|s| s.address.is_ipv6()));
        if !book.has_addresses() || &*book.network.name == "bridge" {
            network["IPAM"]["Options"] = Value::Null;
        }
        let config = book.network.subnets.iter().map(|subnet| {
            let mut config = json!({"Subnet": format!("{}/{}", subnet.address, subnet.prefix)});
            let range = book.range.filter(|range| subnet.contains(range.address));
            if let Some(range) = range {
                config["IPRange"] = json!(format!("{}/{}", range.address, range.prefix));
            }
            if let Some(gateway) = book.gateways.iter().find(|g| subnet.contains(**g)) {
                config["Gateway"] = json!(gateway);
            }
            config
        });
        network["IPAM"]["Config"] = config.collect();
        network
    }

    fn times(&self, id: &ContainerId) -> Times {
        self.times.get(&*id.0).copied().unwrap_or_default()
    }
}

/// One line of `GET /events`, without its end.
pub(super) fn event_line(event: &Event, nanos: u64) -> String {
    let mut line = json!({
        "Type": event.kind.as_str(),
        "Action": event.action,
        "Actor": { "ID": event.id, "Attributes": event.attributes },
        "scope": "local",
        "time": nanos / 1_000_000_000,
        "timeNano": nanos,
    });
    if event.kind == EventKind::Container {
        line["status"] = json!(event.action);
        if !event.id.is_empty() {
            line["id"] = json!(event.id);
            line["from"] = json!(event.attributes.get("image"));
        }
    }
    line.to_string()
}

/// What of an endpoint is not as the template has it.
fn endpoint(record: &Record, attachment: &Attachment, book: &Book, api: Version) -> Parts {
    let mut parts = Parts::new();
    let mut set = |key, value: Value| parts.push((key, value.into()));
    let attach = &attachment.attach;
    let asked =
        [("IPv4Address", attach.v4.map(IpAddr::V4)), ("IPv6Address", attach.v6.map(IpAddr::V6))];
    let asked = asked.into_iter().filter_map(|(key, ip)| Some((key.to_owned(), json!(ip?))));
    let asked: Map<String, Value> = asked.collect();
    let connected_later = attach.network != record.run.attach.network;
    if !asked.is_empty() || connected_later {
        set("IPAMConfig", Value::Object(asked));
    }
    if connected_later {
        set("DriverOpts", json!({}));
    }
    let user_defined = book.has_addresses() && &*book.network.name != "bridge";
    if user_defined && !attach.links.is_empty() {
        let link = |link: &Link| json!(format!("{}:{}", link.container, link.alias));
        set("Links", attach.links.iter().map(link).collect());
    }
    let (aliases, dns_names) =
        if user_defined { names(record, attachment, api) } else { (Value::Null, Value::Null) };
    set("Aliases", aliases);
    if api >= DNS_NAMES {
        set("DNSNames", dns_names);
    }
    if api >= GATEWAY_PRIORITY {
        set("GwPriority", json!(0));
    }
    if attachment.plumbed {
        set("NetworkID", json!(&*book.network.id.0));
    }
    // `none` has an endpoint, too, while its container runs.
    if record.state.is_running() {
        set("EndpointID", json!(derived_id(&record.id.0, &book.network.id.0)));
    }
    for address in attachment.addresses() {
        let subnet = book.network.subnets.iter().find(|s| s.contains(address));
        let gateway = subnet.and_then(|subnet| book.gateway(subnet));
        let (gateway_key, address_key, prefix_key) = match address {
            IpAddr::V4(v4) => {
                set("MacAddress", json!(mac(v4.octets())));
                ("Gateway", "IPAddress", "IPPrefixLen")
            }
            IpAddr::V6(_) => ("IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"),
        };
        set(gateway_key, json!(gateway));
        set(address_key, json!(address));
        set(prefix_key, json!(subnet.map(|subnet| subnet.prefix)));
    }
    parts
}

/// The aliases of an endpoint, and what it is called.
fn names(record: &Record, attachment: &Attachment, api: Version) -> (Value, Value) {
    let unique = |names: Vec<&str>| {
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        seen.into_iter().map(Value::from).collect::<Value>()
    };
    let mut aliases: Vec<&str> = attachment.attach.aliases.iter().map(String::as_str).collect();
    if attachment.plumbed && api < ALIASES_AS_GIVEN {
        aliases.extend([record.id.short(), &record.hostname]);
    }
    let dns_names = attachment.plumbed && api >= DNS_NAMES;
    let dns_names = dns_names.then(|| unique(record.dns_names(attachment).collect()));
    let aliases = if aliases.is_empty() { Value::Null } else { unique(aliases) };
    (aliases, dns_names.unwrap_or_default())
}

fn state(record: &Record, times: Times) -> Value {
    let at = |time: Option<u64>| time.map_or(NEVER.to_owned(), rfc3339);
    let running = record.state.is_running();
    let mut state = json!({
        "Status": record.state.as_str(),
        "Running": running,
        "Paused": record.state == State::Paused,
        "Restarting": false,
        "OOMKilled": false,
        "Dead": false,
        "Pid": if running { 4000 + record.number } else { 0 },
        "ExitCode": record.exit_code,
        "Error": "",
        "StartedAt": at(times.started),
        "FinishedAt": at(times.finished),
    });
    if let Some(health) = record.health {
        let exit = i32::from(health == Health::Unhealthy);
        let probe = json!({
            "Start": at(times.started), "End": at(times.started), "ExitCode": exit, "Output": "",
        });
        let log = if health == Health::Starting { json!([]) } else { json!([probe]) };
        state["Health"] = json!({ "Status": health.as_str(), "FailingStreak": exit, "Log": log });
    }
    state
}

/// Where a container's files are, once it has run; one that shares a network shares most of them.
fn files(record: &Record) -> Parts {
    let shared = match &record.mode {
        NetworkMode::Container(id) => id,
        _ => &record.id,
    };
    let log = format!("{}-json.log", record.id.0);
    let files = [
        ("ResolvConfPath", shared, "resolv.conf"),
        ("HostnamePath", shared, "hostname"),
        ("HostsPath", shared, "hosts"),
        ("LogPath", &record.id, log.as_str()),
    ];
    let part = |(key, of, file): (&'static str, &ContainerId, &str)| {
        let path = format!("/var/lib/docker/containers/{}/{file}", of.0);
        let path = if record.state == State::Created { "" } else { &path };
        (key, json!(path).into())
    };
    files.into_iter().map(part).collect()
}

fn config(record: &Record) -> Parts {
    let run = &record.run;
    let command = if run.command.is_empty() { Value::Null } else { json!(run.command) };
    let optional = |value: Option<Value>| value.map_or(Part::Absent, Part::Json);
    let check = run.health_check.as_ref();
    let check = check.map(|command| json!({ "Test": ["CMD-SHELL", command] }));
    let signal = run.stop_signal.map(|s| s.name().map_or(s.0.to_string(), |n| format!("SIG{n}")));
    let ports = run.exposed.iter().chain(&run.published);
    let ports: Map<String, Value> = ports.map(|port| (port.to_string(), json!({}))).collect();
    vec![
        ("Hostname", json!(record.hostname).into()),
        ("Env", json!(["PATH=/bin", format!("API_TOKEN={SECRET}")]).into()),
        ("Cmd", command.into()),
        ("Image", json!(run.image).into()),
        ("Labels", json!(run.labels).into()),
        ("Healthcheck", optional(check)),
        ("StopSignal", optional(signal.map(Value::from))),
        ("StopTimeout", optional(run.stop_timeout.map(Value::from))),
        ("ExposedPorts", optional((!ports.is_empty()).then_some(Value::Object(ports)))),
    ]
}

fn listed_ports(record: &Record) -> Value {
    let run = &record.run;
    let mut ports: Vec<&Port> = run.exposed.iter().chain(&run.published).collect();
    ports.sort();
    ports.dedup();
    if !record.state.is_running() {
        ports.clear();
    }
    let listed = ports.into_iter().map(|port| {
        let mut listed = json!({ "PrivatePort": port.number, "Type": port.protocol });
        if run.published.contains(port) {
            listed["IP"] = json!("0.0.0.0");
            listed["PublicPort"] = json!(host_port(port));
        }
        listed
    });
    listed.collect()
}

/// Where a published port is on the host: only its shape matters.
fn host_port(port: &Port) -> u16 {
    32768 + port.number % 16384
}

fn status(record: &Record) -> String {
    match (record.state, record.health) {
        (State::Created, _) => "Created".to_owned(),
        (State::Exited, _) => format!("Exited ({}) 1 second ago", record.exit_code),
        (State::Paused, _) => "Up 1 second (Paused)".to_owned(),
        (State::Running, None) => "Up 1 second".to_owned(),
        (State::Running, Some(Health::Starting)) => "Up 1 second (health: starting)".to_owned(),
        (State::Running, Some(health)) => format!("Up 1 second ({})", health.as_str()),
    }
}

fn network_mode(record: &Record) -> String {
    match &record.mode {
        NetworkMode::Network(name) if name == "bridge" => "default".to_owned(),
        NetworkMode::Network(name) => name.clone(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Container(id) => format!("container:{}", id.0),
    }
}

/// The address that Docker gives an interface for its IPv4 address.
fn mac([a, b, c, d]: [u8; 4]) -> String {
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// 64 hexadecimal digits, always the same for the same two.
fn derived_id(one: &str, other: &str) -> String {
    let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = one.bytes().take(16).chain(other.bytes().take(16)).fold(0xcbf2_9ce4_8422_2325, byte);
    format!("{hash:016x}").repeat(4)
}

/// `1.41`
pub(super) fn text((major, minor): Version) -> String {
    format!("{major}.{minor}")
}
