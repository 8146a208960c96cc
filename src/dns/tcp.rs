//! TCP: connections within limits, queries on one of them side by side.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Service;
use super::desk::{Desk, Verdict};
use super::encode::IDLE_TENTHS;
use super::respond::Carrier;
use super::seats::{Seat, Seats};
use super::waiting::LAST_REPLIES;

/// How long a connection may stand idle (RFC 7766 section 6.2.3; RFC 7828 tells it the client).
const IDLE: Duration = Duration::from_millis(100 * IDLE_TENTHS as u64);
/// How long a client may take to read what it has asked for.
const SLOW_READER: Duration = Duration::from_secs(5);
/// Replies of one connection that wait to be read; its next query is read when there is room.
const REPLIES: usize = 32;
/// The pause after an accept that failed: without descriptors left, the next one fails, too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Replies of one connection that wait for other servers.
const WAITING: usize = 32;

/// Serves every connection to these listeners, until told to stop.
pub(super) async fn serve(
    listeners: Vec<StdListener>,
    service: Service,
    stop: &Notify,
) -> io::Result<()> {
    let seats = Arc::new(Seats::default());
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        acceptors.spawn(accept(listener, service.clone(), seats.clone()));
    }
    stop.notified().await;
    acceptors.shutdown().await;
    seats.close();
    // Who does not read its last replies does not hold up the end.
    let _ = timeout(LAST_REPLIES, seats.all_left()).await;
    Ok(())
}

/// Takes connections, and never ends: what fails is one connection's failure.
async fn accept(listener: TcpListener, service: Service, seats: Arc<Seats>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let Some(seat) = seats.take(client.ip()) else { continue };
                tokio::spawn(converse(stream, client, seat, service.clone()));
            }
            // The client went away before it was its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first query to its last reply.
async fn converse(stream: TcpStream, client: SocketAddr, seat: Seat, service: Service) {
    let (reader, writer) = stream.into_split();
    let (replies, written) = mpsc::channel(REPLIES);
    let write = write_replies(writer, written);
    let read = async {
        // Dropped with the sender, so that the writer ends behind the last reply.
        let (replies, mut waiting) = (replies, JoinSet::new());
        tokio::select! {
            ended = read_queries(reader, client.ip(), &seat, service, &replies, &mut waiting) => {
                ended?;
            }
            () = seat.called_off() => {}
        }
        tokio::select! {
            () = async { while waiting.join_next().await.is_some() {} } => {}
            () = seat.given_away() => {}
        }
        Ok(())
    };
    if let Err(error) = tokio::try_join!(read, write) {
        tracing::debug!(%client, %error, "the connection ended");
    }
}

/// Reads queries and answers them, until the client has no more, or none for too long. Those whose
/// replies wait for other servers are left in `waiting`.
async fn read_queries(
    reader: OwnedReadHalf,
    client: IpAddr,
    seat: &Seat,
    service: Service,
    replies: &mpsc::Sender<Vec<u8>>,
    waiting: &mut JoinSet<()>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut desk = Desk::forgetful(service.clone());
    let mut query = Vec::new();
    while let Some(()) = next_query(&mut reader, &mut query).await? {
        let mut reply = Vec::new();
        match desk.answer(&query, client, Carrier::Tcp, &mut reply) {
            // What gets no reply over UDP is no DNS over TCP.
            Verdict::Silence => break,
            Verdict::Reply => {
                // The writer has ended: there is nobody to reply to.
                let Ok(()) = replies.send(framed(&reply)).await else { return Ok(()) };
            }
            // RFC 7766 section 6.2.1.1: the next query does not wait for it.
            Verdict::Later(later) => {
                if waiting.len() >= WAITING {
                    waiting.join_next().await;
                }
                let (replies, service) = (replies.clone(), service.clone());
                waiting.spawn(async move {
                    let reply = later.finish(&service).await;
                    let _ = replies.send(framed(&reply)).await;
                });
            }
        }
        while waiting.try_join_next().is_some() {}
        seat.touch();
    }
    Ok(())
}

/// Reads a query. None: no more come, or none for too long.
async fn next_query(
    reader: &mut BufReader<OwnedReadHalf>,
    query: &mut Vec<u8>,
) -> io::Result<Option<()>> {
    let Ok(length) = timeout(IDLE, query_length(reader)).await else { return Ok(None) };
    let Some(length) = length? else { return Ok(None) };
    query.resize(usize::from(length), 0);
    match timeout(IDLE, reader.read_exact(query)).await {
        Ok(read) => read.map(|_| Some(())),
        Err(_) => Ok(None),
    }
}

/// Two octets of length come before each message (RFC 1035 section 4.2.2). None: no more come.
async fn query_length(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<u16>> {
    match reader.read_u16().await {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn framed(reply: &[u8]) -> Vec<u8> {
    // No reply is longer than its limit, which the length can say.
    let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), reply].concat()
}

/// Writes replies, until there are no more, or the client does not read them.
async fn write_replies(
    mut writer: OwnedWriteHalf,
    mut waiting: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(reply) = waiting.recv().await {
        timeout(SLOW_READER, writer.write_all(&reply)).await??;
    }
    writer.shutdown().await
}
