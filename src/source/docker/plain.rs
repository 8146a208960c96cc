//! A GET whose answer leaves nothing behind in memory: an inspect has a container's secrets in it.
//!
//! HTTP/1.0, so that the answer comes without chunks and ends with the connection; read into one
//! buffer, which is cleared when it is dropped or outgrown. A list, which can have 100 MB, is
//! handed on as it comes.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::transport::Channel;

/// The buffer at first: an inspect is 5 to 20 kB.
const FIRST: usize = 32 * 1024;
/// The longest answer that is read as a whole: an inspect has its labels and environment once or
/// twice. The longest element of a list, too.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// An answer that is read in pieces has to go on within this time. The first one may take some:
/// an engine makes the whole list before it sends any of it.
pub(super) const NEXT_PIECE: Duration = Duration::from_secs(15);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// By the engine's clock, if it says so.
    pub(super) date: Option<String>,
    body: usize,
    buffer: Buffer,
}

impl Answer {
    pub(super) fn body(&self) -> &[u8] {
        &self.buffer.bytes()[self.body..]
    }
}

/// Sends the request and reads to the end of the connection.
pub(super) async fn get(channel: &mut dyn Channel, host: &str, path: &str) -> io::Result<Answer> {
    ask(channel, host, path).await?;
    let mut buffer = Buffer::new(FIRST);
    while buffer.fill_from(channel).await? {}
    let head = Head::read(buffer.bytes())?.ok_or_else(|| headless(&buffer))?;
    head.check_length(buffer.length - head.end)?;
    Ok(Answer { status: head.status, date: head.date, body: head.end, buffer })
}

/// Sends the request and hands on what comes, if the status is 200, piece by piece up to the end
/// of the connection; gives the status.
pub(super) async fn get_in_pieces(
    channel: &mut dyn Channel,
    host: &str,
    path: &str,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u16> {
    ask(channel, host, path).await?;
    let mut buffer = Buffer::new(FIRST);
    let head = loop {
        let more = in_time(buffer.fill_from(channel)).await?;
        match Head::read(buffer.bytes())? {
            Some(head) => break head,
            None if more => {}
            None => return Err(headless(&buffer)),
        }
    };
    if head.status != 200 {
        return Ok(head.status);
    }
    take(&buffer.bytes()[head.end..])?;
    let mut length = buffer.length - head.end;
    buffer.length = 0;
    while in_time(buffer.fill_from(channel)).await? {
        take(buffer.bytes())?;
        length += buffer.length;
        buffer.length = 0;
    }
    head.check_length(length)?;
    Ok(head.status)
}

async fn in_time<T>(piece: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(NEXT_PIECE, piece).await.map_err(|_| {
        let message = format!("nothing came for {} s", NEXT_PIECE.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, message)
    })?
}

async fn ask(channel: &mut dyn Channel, host: &str, path: &str) -> io::Result<()> {
    if !path.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path"));
    }
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    channel.write_all(request.as_bytes()).await?;
    channel.flush().await
}

pub(super) fn garbled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Why a connection that has ended gave no head.
fn headless(buffer: &Buffer) -> io::Error {
    if buffer.bytes().is_empty() {
        io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer")
    } else {
        garbled("not an HTTP answer")
    }
}

/// What stands before the body.
struct Head {
    status: u16,
    date: Option<String>,
    length: Option<usize>,
    /// Where the body begins.
    end: usize,
}

impl Head {
    /// None, if it is not there as a whole.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| garbled("not an HTTP answer"))?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
        let status = status.and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| garbled("not an HTTP answer"))?;
        let (mut date, mut length) = (None, None);
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| garbled("not an HTTP header"))?;
            match name.to_ascii_lowercase().as_str() {
                "date" => date = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse::<usize>().ok(),
                _ => {}
            }
        }
        Ok(Some(Self { status, date, length, end: end + 4 }))
    }

    fn check_length(&self, came: usize) -> io::Result<()> {
        if self.length.is_some_and(|length| came < length) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut short"));
        }
        Ok(())
    }
}

/// Bytes that are cleared before their memory is given back.
#[derive(Debug)]
pub(super) struct Buffer {
    room: Vec<u8>,
    length: usize,
}

impl Buffer {
    pub(super) fn new(size: usize) -> Self {
        Self { room: vec![0; size], length: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Adds these.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len();
        while end > self.room.len() {
            self.widen()?;
        }
        self.room[self.length..end].copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Not by growing in place: that would leave a copy where the buffer was.
    fn widen(&mut self) -> io::Result<()> {
        if self.room.len() >= MAX_ANSWER {
            return Err(garbled("the answer is too long"));
        }
        let mut wider = Self::new(self.room.len() * 2);
        wider.room[..self.length].copy_from_slice(self.bytes());
        wider.length = self.length;
        *self = wider;
        Ok(())
    }

    /// Reads once; false at the end.
    async fn fill_from(&mut self, channel: &mut dyn Channel) -> io::Result<bool> {
        if self.length == self.room.len() {
            self.widen()?;
        }
        let read = channel.read(&mut self.room[self.length..]).await?;
        self.length += read;
        Ok(read > 0)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.room.fill(0);
        // Someone seems to look, so the clearing is not optimised away.
        black_box(&self.room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(text: &'static str) -> io::Result<Answer> {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let serve = async move {
            let mut request = vec![0; 8];
            theirs.read_exact(&mut request).await?;
            // The rest of the request fits the pipe.
            theirs.write_all(text.as_bytes()).await
        };
        let (answer, _) = tokio::join!(get(&mut ours, "docker", "/_ping"), serve);
        answer
    }

    #[tokio::test]
    async fn reads_status_date_and_body() {
        let date = "Tue, 24 Nov 2026 11:51:05 GMT";
        let text = "HTTP/1.0 200 OK\r\nDate: Tue, 24 Nov 2026 11:51:05 GMT\r\n\r\nOK";
        let answer = answered(text).await.unwrap();
        assert_eq!(
            (answer.status, answer.date.as_deref(), answer.body()),
            (200, Some(date), &b"OK"[..])
        );
        let answer = answered("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert_eq!((answer.status, answer.body()), (404, &b""[..]));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        for (text, why) in [
            ("", "closed without an answer"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP answer"),
            ("HTTP/1.0 OK\r\n\r\n", "not an HTTP answer"),
            ("HTTP/1.0 200 OK\r\nDate\r\n\r\n", "not an HTTP header"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "the answer was cut short"),
        ] {
            assert_eq!(answered(text).await.unwrap_err().to_string(), why, "{text:?}");
        }
    }

    async fn pieces_of(text: &'static str) -> io::Result<(u16, String)> {
        let (mut ours, mut theirs) = tokio::io::duplex(8);
        let serve = async move {
            let mut request = vec![0; "GET / HTTP/1.0\r\nHost: docker\r\n\r\n".len()];
            theirs.read_exact(&mut request).await?;
            theirs.write_all(text.as_bytes()).await
        };
        let mut came = String::new();
        let take = |piece: &[u8]| {
            came += std::str::from_utf8(piece).unwrap();
            Ok(())
        };
        let (status, _) = tokio::join!(get_in_pieces(&mut ours, "docker", "/", take), serve);
        status.map(|status| (status, came))
    }

    #[tokio::test]
    async fn a_long_answer_is_handed_on_as_it_comes_if_it_is_one() {
        let whole = "HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\n12345678901234567890";
        assert_eq!(pieces_of(whole).await.unwrap(), (200, "12345678901234567890".to_owned()));
        let unmeasured = "HTTP/1.0 200 OK\r\n\r\n[1, 2, 3]";
        assert_eq!(pieces_of(unmeasured).await.unwrap(), (200, "[1, 2, 3]".to_owned()));
        let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno";
        assert_eq!(pieces_of(refused).await.unwrap(), (403, String::new()));
        for (text, why) in [
            ("", "closed without an answer"),
            ("HTTP/1.0 200 OK\r\n", "not an HTTP answer"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n[1, 2", "the answer was cut short"),
        ] {
            assert_eq!(pieces_of(text).await.unwrap_err().to_string(), why, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_that_stops_is_given_up() {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(b"HTTP/1.0 200 OK\r\n\r\n[").await.unwrap();
        let began = tokio::time::Instant::now();
        let error = get_in_pieces(&mut ours, "docker", "/", |_| Ok(())).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing came for 15 s");
        assert_eq!(began.elapsed(), NEXT_PIECE);
    }

    #[tokio::test]
    async fn a_long_answer_widens_the_buffer_and_an_endless_one_is_refused() {
        let endless = tokio::io::repeat(b'x');
        let mut channel = tokio::io::join(endless, tokio::io::sink());
        let error = get(&mut channel, "docker", "/").await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is too long");
    }
}
