//! A proxy on a unix socket, in front of any engine, that passes, spoils or refuses what goes
//! through, and remembers what was asked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::fake_engine::Asked;

/// The head of a request; netalias's own have a few hundred octets.
const MAX_HEAD: usize = 64 * 1024;
/// Octets that are on their way at once.
const BUFFER: usize = 16 * 1024;

/// What becomes of what passes. It can change while a connection lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// It passes.
    #[default]
    None,
    /// Connections are accepted and stay open, but nothing comes back.
    Stall,
    /// Answers come octet by octet, with this pause after each.
    Trickle(Duration),
    /// No body that comes is JSON any more.
    Garble,
    /// Everything is answered 500.
    Fail,
    /// Each request waits so long before it is passed on.
    Delay(Duration),
}

/// Which requests are passed on; all others are answered 403.
pub type Filter = fn(&Asked) -> bool;

/// A running proxy; dropping it cuts all connections and removes its socket.
pub struct Proxy {
    shared: Arc<Shared>,
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    upstream: PathBuf,
    fault: watch::Sender<Fault>,
    /// How often connections were cut, and how often forgotten.
    cuts: watch::Sender<u64>,
    forgotten: watch::Sender<u64>,
    filter: Filter,
    requests: Mutex<Vec<Asked>>,
}

impl Proxy {
    /// Listens at `path` for the engine whose socket is `upstream`.
    ///
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn start(path: &Path, upstream: &Path, filter: Filter) -> Self {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            fault: watch::Sender::new(Fault::None),
            cuts: watch::Sender::new(0),
            forgotten: watch::Sender::new(0),
            filter,
            requests: Mutex::default(),
        });
        let listener = std::os::unix::net::UnixListener::bind(path).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime starts");
        let (stop, stopped) = oneshot::channel();
        let served = shared.clone();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, served) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(serve);
        let thread = Some(thread.expect("a thread starts"));
        Self { shared, path: path.to_owned(), stop: Some(stop), thread }
    }

    /// What `DOCKER_HOST` would have to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on this happens to what passes, and nothing else.
    pub fn fault(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    /// Cuts every connection of this moment.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// The connections of this moment stay open, but nothing comes through them any more.
    pub fn forget(&self) {
        self.shared.forgotten.send_modify(|times| *times += 1);
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What may be asked of an engine, and only by GET; a star stands for a name.
const NEEDED: [&str; 6] =
    ["/_ping", "/version", "/events", "/containers/json", "/containers/*/json", "/networks"];

/// Whether this is what the documentation asks a socket proxy to let through.
#[must_use]
pub fn is_needed(asked: &Asked) -> bool {
    let mut parts: Vec<&str> = asked.path.split('/').collect();
    if parts.get(1).is_some_and(|part| part.starts_with("v1.")) {
        parts.remove(1);
    }
    let fits = |path: &str| {
        let pattern: Vec<&str> = path.split('/').collect();
        let same = |(part, wanted): (&&str, &&str)| *wanted == "*" || part == wanted;
        pattern.len() == parts.len() && parts.iter().zip(&pattern).all(same)
    };
    asked.method == "GET" && NEEDED.into_iter().any(fits)
}

async fn accept(listener: std::os::unix::net::UnixListener, shared: Arc<Shared>) {
    let listener = UnixListener::from_std(listener).expect("a socket");
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (shared, mut cuts) = (shared.clone(), shared.cuts.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                _ = connection(client, &shared) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// One request and its answer. What a client sends after its first head is not passed on: a
/// request that is not on record would get through.
async fn connection(mut client: UnixStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(client.read_u8().await?);
    }
    let asked = request(&head);
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    if !(shared.filter)(&asked) {
        return refuse(&mut client, "403 Forbidden").await;
    }
    let fault = *shared.fault.borrow();
    match fault {
        Fault::Fail => return refuse(&mut client, "500 Internal Server Error").await,
        Fault::Delay(pause) => sleep(pause).await,
        _ => {}
    }
    let mut engine = UnixStream::connect(&shared.upstream).await?;
    engine.write_all(&head).await?;
    let (mut from_engine, _keep_open) = engine.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    tokio::select! {
        result = pass(&mut from_engine, &mut to_client, shared) => result,
        // It went away, or says more than it may.
        _ = from_client.read_u8() => Ok(()),
    }
}

async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    shared: &Shared,
) -> std::io::Result<()> {
    let (mut fault, forgotten) = (shared.fault.subscribe(), shared.forgotten.subscribe());
    let mut in_body = false;
    let mut buffer = vec![0; BUFFER];
    loop {
        // While nothing is passed nothing is read, so that the engine feels it.
        let _ = fault.wait_for(|fault| *fault != Fault::Stall).await;
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let chunk = &mut buffer[..length];
        let body = if in_body { Some(0) } else { end_of_head(chunk) };
        in_body |= body.is_some();
        let now = *fault.wait_for(|fault| *fault != Fault::Stall).await.expect("it lives");
        if forgotten.has_changed().unwrap_or(true) {
            std::future::pending::<()>().await;
        }
        if let (Fault::Garble, Some(body)) = (now, body) {
            // The same length, since that was told before.
            chunk[body..].iter_mut().filter(|octet| **octet == b'"').for_each(|o| *o = b'#');
        }
        if let Fault::Trickle(pause) = now {
            for octet in chunk {
                to.write_all(&[*octet]).await?;
                let trickling = matches!(*fault.borrow(), Fault::Trickle(_));
                sleep(if trickling { pause } else { Duration::ZERO }).await;
            }
        } else {
            to.write_all(chunk).await?;
        }
    }
}

fn end_of_head(chunk: &[u8]) -> Option<usize> {
    Some(chunk.windows(4).position(|window| window == b"\r\n\r\n")? + 4)
}

fn request(head: &[u8]) -> Asked {
    let text = String::from_utf8_lossy(head);
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Asked { method, path: path.to_owned(), query: query.to_owned() }
}

async fn refuse(client: &mut UnixStream, status: &str) -> std::io::Result<()> {
    let body = r#"{"message":"the proxy was told to"}"#;
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
    let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    client.write_all((head + &rest).as_bytes()).await
}
