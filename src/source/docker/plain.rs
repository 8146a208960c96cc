//! A GET whose answer leaves nothing behind in memory: an inspect has a container's secrets in it.
//!
//! HTTP/1.0, so that the answer comes in one piece and ends with the connection; read into one
//! buffer, which is cleared when it is dropped or outgrown.

use std::hint::black_box;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::transport::Channel;

/// The buffer at first: an inspect is 5 to 20 kB.
const FIRST: usize = 32 * 1024;
/// The longest answer that is read: an inspect has its labels and environment once or twice.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

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
    if !path.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path"));
    }
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    channel.write_all(request.as_bytes()).await?;
    channel.flush().await?;
    let mut buffer = Buffer::new(FIRST);
    while buffer.fill_from(channel).await? {}
    parse(buffer)
}

fn parse(buffer: Buffer) -> io::Result<Answer> {
    let garbled = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let bytes = buffer.bytes();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| {
        if bytes.is_empty() {
            io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer")
        } else {
            garbled("not an HTTP answer")
        }
    })?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| garbled("not an HTTP answer"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
    let status = status.and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| garbled("not an HTTP answer"))?;
    let (mut date, mut length) = (None, None);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| garbled("not an HTTP header"))?;
        match name.to_ascii_lowercase().as_str() {
            "date" => date = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse::<usize>().ok(),
            _ => {}
        }
    }
    let body = end + 4;
    if length.is_some_and(|length| bytes.len() - body < length) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut short"));
    }
    Ok(Answer { status, date, body, buffer })
}

/// Bytes that are cleared before their memory is given back.
#[derive(Debug)]
struct Buffer {
    room: Vec<u8>,
    length: usize,
}

impl Buffer {
    fn new(size: usize) -> Self {
        Self { room: vec![0; size], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Reads once; false at the end.
    async fn fill_from(&mut self, channel: &mut dyn Channel) -> io::Result<bool> {
        if self.length == self.room.len() {
            if self.length >= MAX_ANSWER {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
            }
            // Not by growing in place: that would leave a copy where the buffer was.
            let mut wider = Self::new(self.room.len() * 2);
            wider.room[..self.length].copy_from_slice(self.bytes());
            wider.length = self.length;
            *self = wider;
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

    #[tokio::test]
    async fn a_long_answer_widens_the_buffer_and_an_endless_one_is_refused() {
        let endless = tokio::io::repeat(b'x');
        let mut channel = tokio::io::join(endless, tokio::io::sink());
        let error = get(&mut channel, "docker", "/").await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is too long");
    }
}
