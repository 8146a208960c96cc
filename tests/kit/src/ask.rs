//! One question over DNS, asked as any stub resolver would.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use netalias::source::scenario::Expected;

/// How long a server on this machine may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What came back.
pub struct Answer {
    /// The whole message.
    pub message: Message,
    /// The addresses in the answer section, in order.
    pub addresses: Vec<IpAddr>,
}

/// Asks over UDP.
pub fn ask(server: SocketAddr, name: &str, qtype: &str) -> io::Result<Answer> {
    let any =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    ask_from(any, server, name, qtype)
}

/// Asks over UDP from one of this machine's addresses.
pub fn ask_from(source: IpAddr, server: SocketAddr, name: &str, qtype: &str) -> io::Result<Answer> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{name}.")).map_err(io::Error::other)?;
    let qtype: RecordType = qtype.parse().map_err(io::Error::other)?;
    question.add_query(Query::query(name, qtype));
    let socket = UdpSocket::bind((source, 0))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.connect(server)?;
    socket.send(&question.to_vec().map_err(io::Error::other)?)?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer)?;
    let message = Message::from_vec(&buffer[..length]).map_err(io::Error::other)?;
    if message.metadata.id != question.metadata.id {
        return Err(io::Error::other("the answer has another id"));
    }
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    };
    let addresses = message.answers.iter().filter_map(|record| address(&record.data)).collect();
    Ok(Answer { message, addresses })
}

impl Answer {
    /// The answer in a scenario's words.
    pub fn as_expected(&self) -> Expected {
        let code = match self.message.metadata.response_code {
            ResponseCode::NoError if self.message.answers.is_empty() => "NODATA",
            ResponseCode::NoError if self.addresses.is_empty() => "DATA",
            ResponseCode::NoError => return Expected::Addresses(self.addresses.clone()),
            ResponseCode::NXDomain => "NXDOMAIN",
            ResponseCode::ServFail => "SERVFAIL",
            ResponseCode::Refused => "REFUSED",
            other => return Expected::Code(other.to_string()),
        };
        Expected::Code(code.to_owned())
    }
}

/// How often each address came first in `count` answers.
pub fn spread(
    count: usize,
    mut question: impl FnMut() -> Expected,
) -> Result<Vec<(IpAddr, usize)>, String> {
    let mut firsts = BTreeMap::new();
    for _ in 0..count {
        match question() {
            Expected::Addresses(addresses) if !addresses.is_empty() => {
                *firsts.entry(addresses[0]).or_default() += 1;
            }
            other => return Err(format!("no address came first, but {other}")),
        }
    }
    Ok(firsts.into_iter().collect())
}
