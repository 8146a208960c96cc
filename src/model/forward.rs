//! `Forward`: which names are passed on to other servers, and to which servers.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Name, Upstream};

/// What is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Whether anything is.
    pub enabled: bool,
    /// The servers to ask; without them, those of `resolv_conf`.
    pub servers: Option<Vec<Upstream>>,
    /// The file that names the system's servers.
    pub resolv_conf: PathBuf,
    /// Whether names of one label are passed on, too.
    pub single_labels: bool,
    /// Domains with servers of their own.
    pub domains: Vec<ForwardDomain>,
    /// A file of certificates to trust, beside Mozilla's, in servers that are asked over TLS.
    pub ca: Option<PathBuf>,
}

/// A domain whose names other servers know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardDomain {
    /// The domain; names below it are meant, too.
    pub name: Name,
    /// Whom to ask.
    pub servers: Vec<Upstream>,
}

/// Where the system's servers are named.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

impl Default for Forward {
    fn default() -> Self {
        Self {
            enabled: true,
            servers: None,
            resolv_conf: RESOLV_CONF.into(),
            single_labels: false,
            domains: Vec::new(),
            ca: None,
        }
    }
}

impl Forward {
    /// The domain that has servers of its own for this name; the longest one goes first.
    #[must_use]
    pub fn domain_of(&self, name: &Name) -> Option<&ForwardDomain> {
        let within = self.domains.iter().filter(|d| name.prefix_before(&d.name).is_some());
        within.max_by_key(|domain| domain.name.as_wire().len())
    }

    /// Every server that it names.
    pub fn named_servers(&self) -> impl Iterator<Item = &Upstream> {
        let own = self.domains.iter().flat_map(|domain| &domain.servers);
        self.servers.iter().flatten().chain(own)
    }
}

/// Whether a server is one of our own listening addresses. On the wildcard address that is sure
/// of the usual loopback addresses only: 127.0.0.11, for one, is Docker's.
#[must_use]
pub fn is_listening(listen: &[SocketAddr], server: SocketAddr) -> bool {
    listen.iter().any(|own| {
        let same = own.ip().to_canonical() == server.ip().to_canonical();
        let usual = server.ip() == std::net::Ipv4Addr::LOCALHOST
            || server.ip() == std::net::Ipv6Addr::LOCALHOST
            || server.ip().is_unspecified();
        own.port() == server.port() && (same || own.ip().is_unspecified() && usual)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str, server: &str) -> ForwardDomain {
        ForwardDomain { name: name.parse().unwrap(), servers: vec![server.parse().unwrap()] }
    }

    #[test]
    fn the_longest_domain_has_the_name() {
        let domains = vec![domain("corp", "10.0.0.1"), domain("db.corp", "10.0.0.2")];
        let forward = Forward { domains, ..Forward::default() };
        let server = |name: &str| {
            let found = forward.domain_of(&name.parse().unwrap());
            found.map(|domain| domain.servers[0].address.ip().to_string())
        };
        assert_eq!(server("corp").as_deref(), Some("10.0.0.1"));
        assert_eq!(server("web.corp").as_deref(), Some("10.0.0.1"));
        assert_eq!(server("a.db.corp").as_deref(), Some("10.0.0.2"));
        assert_eq!(server("xcorp"), None);
    }

    #[test]
    fn knows_its_own_addresses_and_leaves_dockers_alone() {
        let listening = |listen: &str, server: &str| {
            is_listening(&[listen.parse().unwrap()], server.parse().unwrap())
        };
        assert!(listening("127.0.0.1:53", "127.0.0.1:53"));
        assert!(!listening("127.0.0.1:53", "127.0.0.1:54"));
        assert!(!listening("127.0.0.1:53", "127.0.0.2:53"));
        assert!(listening("0.0.0.0:53", "127.0.0.1:53"));
        assert!(listening("[::]:53", "127.0.0.1:53"));
        assert!(!listening("0.0.0.0:53", "127.0.0.11:53"), "Docker's");
    }
}
