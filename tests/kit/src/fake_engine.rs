//! A Docker engine without containers, which speaks the API on a socket and can be made to fail.
//!
//! What a command changes and which events it has are the scenario engine's. `answers` puts them
//! into Docker's JSON by `form`, `hub` hands the events out, `server` speaks HTTP; `filters` reads
//! what is wanted, `clock` writes times.

mod answers;
mod clock;
mod filters;
mod form;
mod hub;
mod server;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use netalias::model::Change;
use netalias::source::scenario::{Event, Record, parse_line};
use tokio::sync::{mpsc, watch};

use answers::Books;
use clock::now;
use hub::Hub;
use server::Door;

/// Stands in the environment of every container, as secrets do: nobody may repeat it.
pub const SECRET: &str = "fake-secret-3f9c2b7e";
/// Requests that are remembered; beyond them a test would only be counting.
const MAX_REQUESTS: usize = 1_000_000;
/// Doors that wait to be opened or closed: a test does one at a time.
const MAX_DOORS: usize = 4;

/// Major and minor, as in `/v1.41`.
pub type Version = (u16, u16);

/// The API versions that an engine speaks. The answers have the shape of the newest one, or of
/// the one that the path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// The newest, and the one of paths that name none.
    pub newest: Version,
    /// Older ones are refused.
    pub oldest: Version,
}

impl Api {
    /// Docker 20.10.
    pub const DOCKER_20: Self = Self { newest: (1, 41), oldest: (1, 12) };
    /// Docker 25: endpoints say what they are called.
    pub const DOCKER_25: Self = Self { newest: (1, 44), oldest: (1, 24) };
    /// Docker 29: aliases as given, and nothing older than Docker 25's API.
    pub const DOCKER_29: Self = Self { newest: (1, 52), oldest: (1, 44) };
}

/// What goes wrong. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Connections are accepted and requests read, but not a byte is sent.
    pub stall: bool,
    /// Answers come byte by byte, with this pause after each.
    pub trickle: Option<Duration>,
    /// Each request takes so long.
    pub latency: Duration,
    /// The inspect of one container takes so long.
    pub slow_inspect: Option<(String, Duration)>,
    /// Each event is told as something that is no JSON.
    pub garbage: bool,
    /// `GET /events` is answered 500.
    pub fail_events: bool,
    /// Lists are answered 500.
    pub fail_list: bool,
    /// Inspects are answered 500.
    pub fail_inspect: bool,
    /// What becomes of events.
    pub on_events: OnEvents,
}

/// What becomes of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEvents {
    /// They are told.
    #[default]
    None,
    /// They are lost.
    Drop,
    /// Each is told twice.
    Repeat,
    /// Some are held back and then told in reverse.
    Reorder,
    /// Each is told so much later.
    Delay(Duration),
}

/// How a socket can be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// As after a clean stop: there is no file.
    NoSocket,
    /// As after a kill: the file is there, but nobody listens.
    Refusing,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// `GET`
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What stands after the question mark.
    pub query: String,
}

/// A running engine; dropping it stops it and removes its socket.
pub struct FakeEngine {
    shared: Arc<Shared>,
    path: PathBuf,
    doors: Option<mpsc::Sender<Door>>,
    thread: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Handle,
}

struct Shared {
    api: Api,
    books: Mutex<Books>,
    hub: Mutex<Hub>,
    faults: watch::Sender<Faults>,
    requests: Mutex<Vec<Asked>>,
}

impl FakeEngine {
    /// An engine like Docker 20.10 on this socket.
    ///
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn start(path: &Path) -> Self {
        Self::start_as(path, Api::DOCKER_20)
    }

    /// An engine that speaks these API versions.
    ///
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn start_as(path: &Path, api: Api) -> Self {
        let shared = Arc::new(Shared {
            api,
            books: Mutex::new(Books::new(now())),
            hub: Mutex::new(Hub::default()),
            faults: watch::Sender::new(Faults::default()),
            requests: Mutex::new(Vec::new()),
        });
        let (doors, opened) = mpsc::channel(MAX_DOORS);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime starts");
        let handle = runtime.handle().clone();
        let served = shared.clone();
        let serve = move || runtime.block_on(server::serve(served, opened));
        let thread = std::thread::Builder::new().name("fake engine".to_owned()).spawn(serve);
        let thread = Some(thread.expect("a thread starts"));
        let path = path.to_owned();
        let engine = Self { shared, path, doors: Some(doors), thread, runtime: handle };
        engine.come_back();
        engine
    }

    /// What `DOCKER_HOST` would have to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Carries out a docker command.
    ///
    /// # Panics
    /// When it cannot be read, or the engine refuses it.
    pub fn play(&self, line: &str) {
        self.try_play(line).unwrap_or_else(|why| panic!("{line}: {why}"));
    }

    /// Carries out a docker command, unless the engine refuses it.
    pub fn try_play(&self, line: &str) -> Result<(), String> {
        self.play_all([line])
    }

    /// Carries out many docker commands, up to the first that is refused; nobody sees the engine
    /// in between, but the events of all of them are told.
    pub fn play_all<L: AsRef<str>>(
        &self,
        lines: impl IntoIterator<Item = L>,
    ) -> Result<(), String> {
        let mut books = self.shared.books();
        let mut changes = Vec::new();
        for line in lines {
            let line = parse_line("fake", 1, line.as_ref()).map_err(|error| error.to_string())?;
            let Some(line) = line else { continue };
            let result = books.engine.carry_out(&line.command, &mut changes);
            changes.clear();
            let happened = books.engine.happened().to_vec();
            let times = self.tell(happened.clone());
            for (event, time) in happened.iter().zip(times) {
                books.note(event, time);
            }
            result.map_err(|error| format!("{}: {error}", line.text))?;
        }
        Ok(())
    }

    /// Tells of a signal to a container that is still on its way down.
    pub fn begin_stop(&self, container: &str) {
        let event = {
            let books = self.shared.books();
            let record = books.engine.record(container).expect("a container");
            Event::container(record, "kill", &[("signal", "15")])
        };
        self.tell(vec![event]);
    }

    /// Looks at a container.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn look<T>(&self, container: &str, see: impl FnOnce(&Record) -> T) -> T {
        see(self.shared.books().engine.record(container).expect("a container"))
    }

    /// Everything there is, as a perfect watcher would have it.
    #[must_use]
    pub fn everything(&self) -> Vec<Change> {
        self.shared.books().engine.everything()
    }

    /// Makes these things go wrong, and nothing else.
    pub fn fail(&self, faults: Faults) {
        let reordered = faults.on_events == OnEvents::Reorder;
        self.shared.faults.send_replace(faults);
        if !reordered {
            self.shared.hub().release();
        }
    }

    /// Ends all faults but an absence.
    pub fn mend(&self) {
        self.fail(Faults::default());
    }

    /// Breaks every event stream off, once.
    pub fn cut_streams(&self) {
        self.shared.hub().cut();
    }

    /// The event streams of this moment stay open, but nothing comes through them any more, as
    /// behind a proxy that has forgotten them. New ones work.
    pub fn silence_streams(&self) {
        self.shared.hub().silence();
    }

    /// How many read events now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.hub().listeners()
    }

    /// How many events were lost because a reader was slow.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.shared.hub().lost
    }

    /// Cuts all connections and accepts no new ones.
    pub fn go_away(&self, how: Absence) {
        self.turn(None);
        if how == Absence::NoSocket {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Listens again, on a new socket of the same path.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn come_back(&self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        self.turn(Some(listener));
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn turn(&self, open: Option<UnixListener>) {
        let (done, told) = std::sync::mpsc::channel();
        let doors = self.doors.as_ref().expect("it runs");
        doors.blocking_send(Door { open, done }).expect("it runs");
        told.recv().expect("it runs");
    }

    /// Tells events, and says when each happened.
    fn tell(&self, events: Vec<Event>) -> Vec<u64> {
        let faults = self.shared.faults.borrow().clone();
        let mut hub = self.shared.hub();
        let mut times = Vec::new();
        for event in events {
            let time = hub.time(now());
            times.push(time);
            if let Some((event, time)) = hub.tell(event, time, &faults)
                && let OnEvents::Delay(delay) = faults.on_events
            {
                let shared = self.shared.clone();
                self.runtime.spawn(async move {
                    tokio::time::sleep(delay).await;
                    shared.hub().deliver(event, time, false);
                });
            }
        }
        times
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, asked: Asked) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < MAX_REQUESTS {
            requests.push(asked);
        }
    }

    /// Whether two names mean one container.
    fn is(&self, one: &str, other: &str) -> bool {
        let books = self.books();
        let id = |name| books.engine.record(name).ok().map(|record| &record.id);
        id(one).is_some_and(|one| id(other) == Some(one))
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.doors = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}
