//! `Upstream`: a server that answers for the names that are not ours.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A server to ask, by its address: a name would have to be resolved first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// How it is asked.
    pub transport: Transport,
}

/// How a server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Over UDP, and over TCP what does not fit.
    Plain,
    /// DNS over TLS (RFC 7858).
    Tls {
        /// The name that its certificate must have; without one, its address.
        name: Option<String>,
    },
    /// DNS over HTTPS (RFC 8484).
    Https {
        /// The name that its certificate must have; without one, its address.
        name: Option<String>,
        /// The path of its URL.
        path: String,
    },
}

/// A text that is no upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError(String);

const PLAIN_PORT: u16 = 53;
const TLS_PORT: u16 = 853;
const HTTPS_PORT: u16 = 443;
/// What a URL without a path means, as most public servers have it.
const HTTPS_PATH: &str = "/dns-query";

impl Upstream {
    /// A plain server on the usual port.
    #[must_use]
    pub fn plain(address: IpAddr) -> Self {
        Self { address: (address, PLAIN_PORT).into(), transport: Transport::Plain }
    }
}

/// `ADDR`, `ADDR:PORT`, `tls://ADDR[:PORT][#NAME]` or `https://ADDR[:PORT][/PATH][#NAME]`; an
/// IPv6 address with a port stands in brackets.
impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let wrong = || UpstreamError(text.to_owned());
        let address = |text: &str, port| address(text, port).ok_or_else(wrong);
        let Some((scheme, rest)) = text.split_once("://") else {
            let address = address(text, PLAIN_PORT)?;
            return Ok(Self { address, transport: Transport::Plain });
        };
        let (rest, name) = match rest.split_once('#') {
            Some((rest, name)) => (rest, Some(name.to_owned())),
            None => (rest, None),
        };
        let plausible = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(plausible)) {
            return Err(wrong());
        }
        match scheme {
            "tls" => {
                let address = address(rest, TLS_PORT)?;
                Ok(Self { address, transport: Transport::Tls { name } })
            }
            "https" => {
                let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                let path = if path.len() > 1 { path } else { HTTPS_PATH };
                if path.chars().any(|c| !c.is_ascii_graphic() || c == '"') {
                    return Err(wrong());
                }
                let (address, path) = (address(host, HTTPS_PORT)?, path.to_owned());
                Ok(Self { address, transport: Transport::Https { name, path } })
            }
            _ => Err(wrong()),
        }
    }
}

/// An address, in brackets or not, with or without a port.
fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let address = match text.parse::<IpAddr>() {
        Ok(address) => SocketAddr::from((address, port)),
        Err(_) => match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            Some(bare) => SocketAddr::from((bare.parse::<IpAddr>().ok()?, port)),
            None => text.parse().ok()?,
        },
    };
    (address.port() != 0).then_some(address)
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |f: &mut fmt::Formatter<'_>, name: &Option<String>| match name {
            Some(name) => write!(f, "#{name}"),
            None => Ok(()),
        };
        match &self.transport {
            Transport::Plain => write!(f, "{}", self.address),
            Transport::Tls { name: n } => {
                write!(f, "tls://{}", self.address)?;
                name(f, n)
            }
            Transport::Https { name: n, path } => {
                write!(f, "https://{}{path}", self.address)?;
                name(f, n)
            }
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "{text:?} is no server: write ADDR, ADDR:PORT, tls://ADDR#NAME or \
             https://ADDR/PATH#NAME, with an IP address as ADDR"
        )
    }
}

impl std::error::Error for UpstreamError {}

/// The servers that a resolv.conf(5) names, in its order, each once.
#[must_use]
pub fn nameservers(text: &str) -> Vec<Upstream> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(address)) = (words.next(), words.next()) else { continue };
        // A link-local address with its interface (`fe80::1%eth0`) cannot be asked from here.
        let Ok(address) = address.parse() else { continue };
        let server = Upstream::plain(address);
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        text.parse::<Upstream>().map(|u| u.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_addresses_and_urls_and_prints_them_whole() {
        for (text, whole) in [
            ("1.1.1.1", "1.1.1.1:53"),
            ("1.1.1.1:5353", "1.1.1.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[fd00::1]:54", "[fd00::1]:54"),
            ("tls://9.9.9.9#dns.quad9.net", "tls://9.9.9.9:853#dns.quad9.net"),
            ("tls://[::1]:8853", "tls://[::1]:8853"),
            ("https://1.1.1.1", "https://1.1.1.1:443/dns-query"),
            ("https://8.8.8.8/q#dns.google", "https://8.8.8.8:443/q#dns.google"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(whole));
            assert_eq!(shown(whole).as_deref(), Ok(whole), "what is printed can be read");
        }
    }

    #[test]
    fn refuses_names_and_what_is_no_address() {
        for text in
            ["", "dns.google", "1.1.1.1:0", "quic://1.1.1.1", "tls://a#b", "tls://1.1.1.1#", "a:53"]
        {
            assert!(shown(text).is_err_and(|error| error.contains("is no server")), "{text}");
        }
    }

    #[test]
    fn reads_resolv_conf_as_the_c_library_does() {
        let text = "# x\nsearch a b\nnameserver 10.0.0.1 \n;nameserver 10.0.0.2\n\
                    nameserver\tfd00::1\nnameserver fe80::1%eth0\nnameserver 10.0.0.1\n\
                    nameserver\noptions ndots:0\n";
        let servers: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fd00::1]:53"]);
    }
}
