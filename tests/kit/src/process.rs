//! The real binary as a process of a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crate::wait::until;

/// A running `netalias serve` or `netalias demo`; dropping it ends it.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Both streams' lines so far.
    lines: Arc<Mutex<Vec<String>>>,
    /// Where it answers DNS.
    pub dns: SocketAddr,
    /// Where it answers HTTP.
    pub http: SocketAddr,
}

/// The arguments that let the kernel choose free ports, and ask nobody else.
pub fn kernel_port() -> [&'static str; 6] {
    ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--forward", "off"]
}

impl Process {
    /// Starts the binary and waits until it says where it listens.
    ///
    /// # Panics
    /// When it cannot be started, or ends instead.
    pub fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the binary starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stdin = child.stdin.take();
        collect(child.stdout.take().expect("piped"), &lines);
        collect(child.stderr.take().expect("piped"), &lines);
        let ((dns, http), _) = until("it says where it listens", || {
            let lines = lines.lock().unwrap();
            if let Some(status) = child.try_wait().expect("a child of ours") {
                panic!("it ended with {status}: {lines:#?}");
            }
            lines.iter().find_map(|line| addresses(line))
        });
        Self { child, stdin, lines, dns, http }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop, as `docker stop` does.
    pub fn terminate(&self) {
        signal("TERM", self.id());
    }

    /// Waits until it ends, and says how.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("it ends", || child.try_wait().expect("a child of ours")).0
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// When it does not read any more.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("piped");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Everything it has written so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until a line of it has this: what is written is not read at once.
    ///
    /// # Panics
    /// When no such line comes.
    pub fn says(&self, text: &str) {
        until(text, || self.lines().iter().any(|line| line.contains(text)).then_some(()));
    }

    /// GETs a path: status code and body.
    ///
    /// # Panics
    /// When no HTTP answer comes.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).expect("HTTP is served");
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("HTTP is served");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("HTTP is served");
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (code.expect("a status line"), body.expect("a body"))
    }
}

/// Sends a signal to a process that the test has started.
///
/// # Panics
/// When there is no `kill`.
pub fn signal(name: &str, process: u32) {
    // A process that has ended gets none.
    let _ = Command::new("kill").args(["-s", name, &process.to_string()]).output().expect("kill");
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}

/// `DNS on A, HTTP on B; …` of the demo, or `… dns=A http=B …` of serve.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let after = |marks: [&str; 2]| {
        let rest = marks.into_iter().find_map(|mark| Some(line.split_once(mark)?.1))?;
        rest.split([',', ';', ' ']).next()?.parse().ok()
    };
    Some((after(["DNS on ", "dns="])?, after(["HTTP on ", "http="])?))
}
