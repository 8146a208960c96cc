//! One question to one server, and the wait for the answer to just this question.
//!
//! hickory's own client is not used: in 0.26.3 (`udp_client_stream.rs`) the first malformed packet
//! with the right id and port ends a query, so that whoever can send one denies any name
//! (CVE-2023-28452).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::MissedTickBehavior;

use super::outcome::Useless;

/// What we take over UDP (DNS flag day 2020: no fragments).
const MAX_UDP_PAYLOAD: u16 = 1232;
/// Room for servers that send more than we take.
const UDP_BUFFER: usize = 4096;
/// A datagram can be lost: after this time it is sent again, from the same port.
const RESEND: Duration = Duration::from_secs(1);
/// How often one server is sent one question; three servers then get nine datagrams at most.
const MAX_SENDS: usize = 3;
/// So many datagrams that are not the answer mean that somebody is guessing id and port; TCP
/// cannot be guessed.
const MAX_STRAYS: usize = 64;

/// A question as it leaves: nothing in it tells who asked.
pub(super) struct Outgoing {
    /// Its name in lower case.
    pub(super) query: Query,
    /// The client wants no validation by the server (RFC 4035 section 3.2.2).
    pub(super) checking_disabled: bool,
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no answer in time")]
    Silent,
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("it answered {0}")]
    Code(ResponseCode),
    #[error("it only named other servers")]
    Referral,
    #[error("what it sent is no answer")]
    Malformed,
    #[error("its certificate or protocol: {0}")]
    Secure(String),
}

impl From<Useless> for Failure {
    fn from(useless: Useless) -> Self {
        match useless {
            Useless::Code(code) => Self::Code(code),
            Useless::Referral => Self::Referral,
        }
    }
}

impl Outgoing {
    /// The message for one server, with an unpredictable id. `mark` tells us that it is ours, if
    /// it comes back.
    pub(super) fn message(&self, with_edns: bool, mark: Option<EdnsOption>) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = self.checking_disabled;
        message.add_query(self.query.clone());
        if with_edns {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_UDP_PAYLOAD);
            edns.options_mut().options.extend(mark.map(|mark| ((&mark).into(), mark)));
            message.set_edns(edns);
        }
        message
    }
}

/// Over UDP, and over TCP what does not fit or cannot be trusted.
pub(super) async fn plain(server: SocketAddr, sent: &Message) -> Result<Message, Failure> {
    if let Some(answer) = over_udp(server, sent).await? {
        return Ok(answer);
    }
    let mut stream = TcpStream::connect(server).await?;
    framed(&mut stream, sent).await
}

/// The answer, or None where TCP must be asked.
async fn over_udp(server: SocketAddr, sent: &Message) -> Result<Option<Message>, Failure> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A socket for each question: the kernel draws its port (RFC 5452 section 9.2). Connected, it
    // takes datagrams from this server alone, and tells when its port is closed.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let bytes = sent.to_vec().map_err(|_| Failure::Malformed)?;
    let mut resend = tokio::time::interval(RESEND);
    resend.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sends, mut strays) = (0, 0);
    loop {
        tokio::select! {
            _ = resend.tick(), if sends < MAX_SENDS => {
                socket.send(&bytes).await?;
                sends += 1;
            }
            ready = socket.readable() => {
                ready?;
                match receive(&socket, sent)? {
                    Some(answer) if answer.metadata.truncation => return Ok(None),
                    Some(answer) => return Ok(Some(answer)),
                    None => strays += 1,
                }
                if strays > MAX_STRAYS {
                    return Ok(None);
                }
            }
        }
    }
}

/// Takes one datagram. The buffer is no part of the waiting task, of which there may be many.
fn receive(socket: &UdpSocket, sent: &Message) -> io::Result<Option<Message>> {
    let mut buffer = [0; UDP_BUFFER];
    match socket.try_recv(&mut buffer) {
        Ok(length) => Ok(answer_to(sent, &buffer[..length])),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// One message each way, with its length in front (RFC 1035 section 4.2.2).
pub(super) async fn framed<S>(stream: &mut S, sent: &Message) -> Result<Message, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes = sent.to_vec().map_err(|_| Failure::Malformed)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    stream.flush().await?;
    let length = stream.read_u16().await?;
    // Grows with what comes, not with what is promised.
    let mut answer = Vec::new();
    stream.take(length.into()).read_to_end(&mut answer).await?;
    answer_to(sent, &answer).ok_or(Failure::Malformed)
}

/// The message in these octets, if it answers this question: same id, and the same question octet
/// by octet. A server that does not read EDNS may leave the question out.
pub(super) fn answer_to(sent: &Message, octets: &[u8]) -> Option<Message> {
    // Before anything is parsed: whoever does not know the id gets no further.
    if octets.first_chunk() != Some(&sent.metadata.id.to_be_bytes()) {
        return None;
    }
    let message = Message::from_vec(octets).ok()?;
    let header = &message.metadata;
    if header.message_type != MessageType::Response || header.op_code != OpCode::Query {
        return None;
    }
    let same = match (&message.queries[..], &sent.queries[..]) {
        ([theirs], [ours]) => theirs == ours && theirs.name().eq_case(ours.name()),
        ([], [_]) => is_without_edns(header.response_code),
        _ => false,
    };
    same.then_some(message)
}

/// What servers say that do not know EDNS (RFC 6891 section 7).
pub(super) fn is_without_edns(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::FormErr | ResponseCode::NotImp)
}
