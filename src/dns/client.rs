//! The asking side: one question, over UDP, and over TCP when the answer does not fit.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::DecodeError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a datagram is sent before the server is given up.
const UDP_TRIES: u32 = 2;

/// The protocol that an answer came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// After a truncated answer over UDP.
    Tcp,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing came in time.
    #[error("no answer from {0} within {timeout:?}", timeout = ANSWER_TIMEOUT * UDP_TRIES)]
    NoAnswer(SocketAddr),
    /// The socket failed; a closed port shows here as "connection refused".
    #[error("cannot ask {server}")]
    Socket {
        /// Who was asked.
        server: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The question cannot be encoded.
    #[error("cannot encode the question")]
    Encode(#[from] ProtoError),
    /// What came is no DNS message.
    #[error("the answer is no DNS message")]
    Decode(#[from] DecodeError),
}

/// Asks `server` one question and returns the answer, whatever its code.
pub async fn ask(
    server: SocketAddr,
    name: &Name,
    qtype: RecordType,
) -> Result<(Message, Transport), AskError> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), qtype));
    let bytes = question.to_vec()?;
    let socket_error = |source| AskError::Socket { server, source };
    for _ in 0..UDP_TRIES {
        let attempt = timeout(ANSWER_TIMEOUT, over_udp(server, &bytes, &question)).await;
        let Ok(answer) = attempt else { continue };
        let answer = answer.map_err(socket_error)?;
        if !answer.metadata.truncation {
            return Ok((answer, Transport::Udp));
        }
        let bytes = timeout(ANSWER_TIMEOUT, over_tcp(server, &bytes)).await;
        let bytes = bytes.map_err(|_| AskError::NoAnswer(server))?.map_err(socket_error)?;
        return Ok((Message::from_vec(&bytes)?, Transport::Tcp));
    }
    Err(AskError::NoAnswer(server))
}

/// Waits for the answer to this question; whatever else arrives does not end the wait.
async fn over_udp(server: SocketAddr, bytes: &[u8], question: &Message) -> io::Result<Message> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
        if answer.metadata.id == question.metadata.id
            && answer.metadata.message_type == MessageType::Response
        {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    // RFC 1035 section 4.2.2: two octets of length before each message.
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
