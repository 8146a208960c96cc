//! What netalias wants of `GET /containers/ID/json` and of a network, and nothing else: an inspect
//! also tells the environment, which holds secrets, and what has no field here is never kept.

use std::collections::HashMap;

use bollard::models::EndpointSettings;
use serde::Deserialize;

/// A container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspected {
    pub(super) name: Option<String>,
    pub(super) state: Option<State>,
    pub(super) config: Option<Config>,
    pub(super) host_config: Option<HostConfig>,
    pub(super) network_settings: Option<NetworkSettings>,
}

/// Whether it runs, and how well.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    pub(super) running: Option<bool>,
    pub(super) paused: Option<bool>,
    pub(super) started_at: Option<String>,
    pub(super) health: Option<Health>,
}

/// What its health check says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Health {
    pub(super) status: Option<String>,
}

/// What it was made with. Not `Env`.
#[allow(clippy::zero_sized_map_values)] // It is the engine's form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    pub(super) hostname: Option<String>,
    pub(super) labels: Option<HashMap<String, String>>,
    pub(super) exposed_ports: Option<Ports>,
    pub(super) stop_signal: Option<String>,
}

/// `80/tcp`, each with an empty object.
#[allow(clippy::zero_sized_map_values)] // It is the engine's form.
pub(super) type Ports = HashMap<String, serde::de::IgnoredAny>;

/// How it is attached.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    pub(super) network_mode: Option<String>,
    pub(super) links: Option<Vec<String>>,
}

/// Its networks, by name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    pub(super) networks: Option<HashMap<String, EndpointSettings>>,
}

/// A network, as lists have it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InspectedNetwork {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) driver: Option<String>,
    pub(super) internal: Option<bool>,
    #[serde(rename = "IPAM")]
    pub(super) ipam: Option<Ipam>,
}

/// Its addresses.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Ipam {
    pub(super) config: Option<Vec<IpamConfig>>,
}

/// One range of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct IpamConfig {
    pub(super) subnet: Option<String>,
    #[serde(rename = "IPRange")]
    pub(super) ip_range: Option<String>,
    pub(super) gateway: Option<String>,
}
