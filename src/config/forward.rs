//! The `[forward]` table and its flag: what is passed on to other servers, and to which.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::written::{self, list, quoted};
use super::{ConfigError, texts};
use crate::model::{Forward, ForwardDomain, Name, RESOLV_CONF, Upstream, is_listening};

/// What was said about forwarding, in the flag or in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardSetting {
    /// Whether names that are not ours are passed on.
    pub enabled: Option<bool>,
    /// To whom; an empty list means the system's servers.
    #[serde(deserialize_with = "some_texts")]
    pub servers: Option<Vec<Upstream>>,
    /// Where the system's servers are named.
    pub resolv_conf: Option<PathBuf>,
    /// Whether names of one label are passed on, too.
    pub single_labels: Option<bool>,
    /// Certificates to trust beside Mozilla's.
    pub ca: Option<PathBuf>,
    /// `[[forward.domain]]` tables.
    pub domain: Vec<ForwardDomainSetting>,
}

/// A `[[forward.domain]]` table: names that other servers know.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardDomainSetting {
    /// The domain.
    pub name: String,
    /// Whom to ask.
    #[serde(deserialize_with = "texts")]
    pub servers: Vec<Upstream>,
}

/// The keys of the table.
pub(super) const FORWARD_KEYS: [&str; 6] =
    ["enabled", "servers", "resolv_conf", "single_labels", "ca", "domain"];
/// The keys of a `[[forward.domain]]` table.
pub(super) const FORWARD_DOMAIN_KEYS: [&str; 2] = ["name", "servers"];

/// `off`, `system`, or servers with commas between them.
impl FromStr for ForwardSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let servers = match text {
            "off" => return Ok(Self { enabled: Some(false), ..Self::default() }),
            "system" => Vec::new(),
            list => {
                let servers = list.split(',').map(|server| server.trim().parse::<Upstream>());
                servers.collect::<Result<_, _>>().map_err(|error| {
                    format!("{error}; or off, or system for the servers of {RESOLV_CONF}")
                })?
            }
        };
        Ok(Self { enabled: Some(true), servers: Some(servers), ..Self::default() })
    }
}

/// What would be in force: the flag goes before the file. `listen` is where we listen ourselves.
pub(super) fn forward(
    flag: Option<ForwardSetting>,
    file: Option<ForwardSetting>,
    listen: &[SocketAddr],
) -> Result<Forward, ConfigError> {
    let (flag, file) = (flag.unwrap_or_default(), file.unwrap_or_default());
    let defaults = Forward::default();
    let servers = flag.servers.or(file.servers).filter(|servers| !servers.is_empty());
    let domains = file.domain.into_iter().map(|domain| {
        let name = Name::parse(&domain.name)?;
        if domain.servers.is_empty() {
            return Err(ConfigError::NoServers(name));
        }
        Ok(ForwardDomain { name, servers: domain.servers })
    });
    let forward = Forward {
        enabled: flag.enabled.or(file.enabled).unwrap_or(defaults.enabled),
        servers,
        resolv_conf: file.resolv_conf.unwrap_or(defaults.resolv_conf),
        single_labels: file.single_labels.unwrap_or(defaults.single_labels),
        domains: domains.collect::<Result<_, _>>()?,
        ca: file.ca,
    };
    let own = forward.named_servers().find(|server| is_listening(listen, server.address));
    if let Some(own) = own {
        return Err(ConfigError::ForwardsToItself(own.clone()));
    }
    Ok(forward)
}

/// The table as `check` prints it.
pub(super) fn table(forward: &Forward) -> String {
    let servers = list(forward.servers.as_deref().unwrap_or_default());
    let Forward { enabled, resolv_conf, single_labels, domains, .. } = forward;
    let mut text = format!(
        "\n[forward]\nenabled = {enabled}\nservers = {servers}\nresolv_conf = {}\n\
         single_labels = {single_labels}",
        quoted(resolv_conf.display())
    );
    // Writing to a text cannot fail.
    if let Some(ca) = &forward.ca {
        let _ = write!(text, "\nca = {}", quoted(ca.display()));
    }
    for domain in domains {
        let (name, servers) = (quoted(written::name(&domain.name)), list(&domain.servers));
        let _ = write!(text, "\n\n[[forward.domain]]\nname = {name}\nservers = {servers}");
    }
    text
}

fn some_texts<'de, D>(deserializer: D) -> Result<Option<Vec<Upstream>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    texts(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Settings};
    use super::*;

    fn config(flag: Option<&str>, file: &str) -> Result<Forward, String> {
        let file = Settings::from_toml("f", file).map_err(|error| error.to_string())?;
        let forward = flag.map(str::parse).transpose()?;
        let flags = Settings { forward, ..Settings::default() };
        let config = Config::new(flags, file, None).map_err(|error| error.to_string())?;
        let printed = Settings::from_toml("printed", &config.to_toml()).unwrap();
        let again = Config::new(Settings::default(), printed, None).unwrap();
        assert_eq!(again, config, "what is printed gives the same");
        Ok(config.forward)
    }

    #[test]
    fn by_default_the_systems_servers_are_asked() {
        assert_eq!(config(None, ""), Ok(Forward::default()));
        assert_eq!(config(None, "[forward]\nservers = []\n"), Ok(Forward::default()));
    }

    #[test]
    fn the_flag_goes_before_the_file_and_leaves_the_rest_of_it() {
        let file = "[forward]\nenabled = false\nservers = ['10.0.0.1']\nsingle_labels = true\n\
                    [[forward.domain]]\nname = 'corp.internal'\nservers = ['tls://10.0.0.2#c']\n";
        let forward = config(None, file).unwrap();
        assert!(!forward.enabled);
        assert_eq!(forward.domains[0].servers[0].to_string(), "tls://10.0.0.2:853#c");
        let flagged = config(Some("10.0.0.3, https://10.0.0.4"), file).unwrap();
        let servers: Vec<String> =
            flagged.servers.iter().flatten().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.3:53", "https://10.0.0.4:443/dns-query"]);
        assert!(flagged.enabled && flagged.single_labels && flagged.domains.len() == 1);
        assert_eq!(config(Some("system"), file).unwrap().servers, None);
        assert!(!config(Some("off"), "").unwrap().enabled);
    }

    #[test]
    fn an_error_says_what_is_wrong_and_what_to_do() {
        for (flag, file, message) in [
            (None, "[forward]\nserver = ['1.1.1.1']", "f:2: unknown key \"server\"; did you mean"),
            (
                None,
                "[forward]\n[[forward.domain]]\nname = 'a'\nserver = []",
                "f:4: unknown key \"server\"; did you mean \"servers\"?",
            ),
            (None, "[forward]\nservers = ['dns.google']", "f:2: \"dns.google\" is no server"),
            (Some("dns.google"), "", "with an IP address as ADDR; or off, or system"),
            (
                None,
                "[forward]\n[[forward.domain]]\nname = 'a'\nservers = []",
                "forward.domain a: it has no servers",
            ),
            (
                None,
                "[forward]\nservers = ['127.0.0.1:1053']",
                "forward: 127.0.0.1:1053 is where netalias itself listens",
            ),
        ] {
            let error = config(flag, file).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
