//! `Service`: the front of an SRV question, `_80._tcp` or `_http._tcp`.

use std::sync::Arc;

use super::{Name, Port};

/// What a name below `_tcp`, `_udp` or `_sctp` asks for (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The protocol, without its underscore.
    pub protocol: Arc<str>,
    /// The port. None: the name is that of the protocol alone, which holds no records.
    pub port: Option<Wanted>,
}

/// Which port is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By its number.
    Number(u16),
    /// By the name of the service behind it.
    Service(Name),
}

impl Service {
    /// Splits `_http._tcp.web` into the service and the name of its endpoints.
    #[must_use]
    pub fn split(name: &Name) -> Option<(Self, Name)> {
        let protocol = |label: &[u8]| match label {
            b"_tcp" => Some("tcp"),
            b"_udp" => Some("udp"),
            b"_sctp" => Some("sctp"),
            _ => None,
        };
        let labels: Vec<&[u8]> = name.labels().take(2).collect();
        let starts: Vec<usize> = name.label_starts().take(3).collect();
        let end = name.as_wire().len();
        let rest = |labels: usize| starts.get(labels).map(|start| name.part(*start, end));
        if let Some(protocol) = labels.first().and_then(|label| protocol(label)) {
            return Some((Self { protocol: protocol.into(), port: None }, rest(1)?));
        }
        let protocol = labels.get(1).and_then(|label| protocol(label))?;
        let text = std::str::from_utf8(labels[0].strip_prefix(b"_")?).ok()?;
        let wanted = match text.parse() {
            Ok(number) => Wanted::Number(number),
            Err(_) => Wanted::Service(Name::parse(text).ok()?),
        };
        Some((Self { protocol: protocol.into(), port: Some(wanted) }, rest(2)?))
    }

    /// Whether a port is of the protocol.
    #[must_use]
    pub fn fits(&self, port: &Port) -> bool {
        port.protocol == self.protocol
    }
}

impl Wanted {
    /// Whether this port is meant.
    #[must_use]
    pub fn is(&self, port: &Port) -> bool {
        match self {
            Self::Number(number) => port.number == *number,
            Self::Service(name) => port.services.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_port_numbers_service_names_and_the_protocol_alone() {
        let split = |text: &str| {
            let (service, rest) = Service::split(&Name::parse(text).unwrap())?;
            Some((service.port, service.protocol.to_string(), rest.to_string()))
        };
        let http = Wanted::Service(Name::parse("http").unwrap());
        assert_eq!(
            split("_80._tcp.web.netlb"),
            Some((Some(Wanted::Number(80)), "tcp".to_owned(), "web.netlb".to_owned()))
        );
        assert_eq!(split("_HTTP._UDP.web"), Some((Some(http), "udp".to_owned(), "web".to_owned())));
        assert_eq!(split("_tcp.web"), Some((None, "tcp".to_owned(), "web".to_owned())));
        for text in ["web", "http._tcp.web", "_http.web", "_tcp", "_80._tcp", "_80._quic.web"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
