//! A client that looks a name up and connects, again and again: this program itself, in another
//! role, in a container's place.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::inside::Place;

/// The variable that makes this program play the client, with the name as its value.
pub(crate) const ROLE: &str = "NETALIAS_CLIENTS_LOAD";
/// From one connection to the next: 50 a second.
const PACE: Duration = Duration::from_millis(20);
/// How long a connection may take, and then its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client at work; it ends when it is asked for its result.
pub(crate) struct Load {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// What a client met.
pub(crate) struct Met {
    /// How often it connected, or tried to.
    pub(crate) attempts: usize,
    /// When, to whom and why not.
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Sets a client to work in a container's place.
    pub(crate) fn start(place: &Place, nameserver: &str, name: &str) -> Self {
        let itself = std::env::current_exe().expect("a path");
        let mut command = place.command(nameserver, &format!("exec '{}'", itself.display()));
        let piped = command.env(ROLE, name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().expect("nsenter");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("UTF-8");
        assert_eq!(line, "ok\n", "its first connection, before anything changes");
        Self { child, stdout }
    }

    /// Tells it to end, and what it met.
    pub(crate) fn end(mut self) -> Met {
        // The end of its standard input is the sign.
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("UTF-8");
        self.child.wait().expect("a child of ours");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let failures = lines.iter().filter(|line| *line != "ok").cloned().collect();
        Met { attempts: lines.len(), failures }
    }
}

/// The role itself: a line for a first attempt, then, when standard input has ended, one for each.
pub(crate) fn run(name: &str) {
    let (ended, end) = channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(ended);
    });
    match attempt(name) {
        Ok(()) => println!("ok"),
        Err(why) => println!("{why}"),
    }
    let started = Instant::now();
    let mut attempts = Vec::new();
    let mut next = started;
    while end.recv_timeout(next.saturating_duration_since(Instant::now()))
        == Err(RecvTimeoutError::Timeout)
    {
        next += PACE;
        let name = name.to_owned();
        // A thread each: one that waits for a dead address keeps nobody else from trying.
        attempts.push(std::thread::spawn(move || (started.elapsed(), attempt(&name))));
    }
    for attempt in attempts {
        match attempt.join() {
            Ok((_, Ok(()))) => println!("ok"),
            Ok((when, Err(why))) => println!("{:.2} s: {why}", when.as_secs_f64()),
            Err(_) => println!("it panicked"),
        }
    }
}

/// One short-lived connection to the first address, and no other one.
fn attempt(name: &str) -> Result<(), String> {
    let found = (name, 80).to_socket_addrs().map_err(|error| format!("{name}: {error}"))?;
    let address = found.into_iter().next().ok_or("no address")?;
    fetch(address).map_err(|error| format!("{address}: {error}"))
}

fn fetch(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    if &answer == b"HTTP/1.0" || &answer == b"HTTP/1.1" {
        Ok(())
    } else {
        Err(std::io::Error::other("no HTTP answer"))
    }
}
