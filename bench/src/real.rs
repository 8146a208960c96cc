//! `bench real`: from a change in a real engine to the answer that has it.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::answer::check;
use crate::engine::{Engine, SOCKET, send};
use crate::netalias::{BinaryArgs, await_ready};
use crate::row;
use crate::server::Server;
use crate::table::{lateness, markdown, percentile};
use crate::workload::{A, Question, SUFFIX, query};

#[derive(clap::Args)]
pub(crate) struct RealArgs {
    /// How many containers there are
    #[arg(long, default_value_t = 50)]
    containers: u32,
    /// How many changes of each kind are made, one after the other
    #[arg(long, default_value_t = 200)]
    changes: u32,
    #[command(flatten)]
    netalias: BinaryArgs,
}

/// How late half of the changes may be, and all but a hundredth.
const LIMITS: [(usize, Duration); 2] =
    [(50, Duration::from_millis(10)), (99, Duration::from_millis(50))];
/// How long one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two questions: without it asker and server would take both processors from the engine
/// and the watcher, and a death be seen 8 ms later for that.
const PAUSE: Duration = Duration::from_micros(200);
/// How long an answer may take before it is asked for anew.
const LOST: Duration = Duration::from_secs(1);
/// The two networks. Each has a name that one container always has, by this last octet of its
/// address, and another one from time to time, by the next one. Other containers begin at 2.
const SUBNETS: [&str; 2] = ["172.31.248", "172.31.249"];
const STAYS: u8 = 250;

/// From the event, and from the return of what was called, to the first right answer.
#[derive(Default)]
struct Times {
    from_event: Vec<Duration>,
    from_return: Vec<Duration>,
}

pub(crate) fn run(args: &RealArgs) -> anyhow::Result<bool> {
    let binary = args.netalias.path()?;
    ensure!(args.containers < u32::from(STAYS), "there is no room for so many containers");
    let engine = Engine::real()?;
    let world = World::make(&engine, args.containers)?;
    let mut command = Command::new(binary);
    command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(["--docker", &format!("unix://{SOCKET}")]);
    let mut server = Server::start(&mut command)?;
    let (dns, http) = server.addresses()?;
    let http = http.context("it serves no HTTP")?;
    await_ready(http, Instant::now(), PATIENCE)?;
    let mut watch = Watch::begin(dns, world.questions())?;
    let [mut start, mut die, mut connect] = [(); 3].map(|()| Times::default());
    for _ in 0..args.changes {
        watch.time(&mut start, "start", &world.comes, (0, 2), || engine.start(&world.comes))?;
        let process = world.process(&engine)?;
        // By a signal of the engine's it would be known beforehand that it will die.
        watch
            .time(&mut die, "die", &world.comes, (0, 1), || Ok(kill(process, Signal::SIGKILL)?))?;
        let joins = &world.joins;
        watch.time(&mut connect, "connect", joins, (1, 2), || world.connect(&engine))?;
        world.disconnect(&engine)?;
        watch.await_answer((1, 1))?;
    }
    let mut rows = vec![row![
        "change",
        "containers",
        "changes",
        "from the event: p50 ms",
        "p99 ms",
        "max ms",
        "from the return: p50 ms",
        "p99 ms",
        "max ms"
    ]];
    let mut in_time = true;
    for (kind, mut times) in [("start", start), ("die", die), ("connect", connect)] {
        let mut row = row![kind, args.containers, args.changes];
        for times in [&mut times.from_event, &mut times.from_return] {
            times.sort_unstable();
            row.extend(lateness(times, 2));
        }
        rows.push(row);
        in_time &= LIMITS
            .iter()
            .all(|(part, limit)| percentile(&times.from_event, *part).is_some_and(|t| t <= *limit));
    }
    print!("{}", markdown(&rows));
    Ok(in_time)
}

/// What there is in the engine.
struct World {
    /// The networks by name; containers and shared names begin so, too.
    networks: [String; 2],
    /// The container that is started and dies.
    comes: String,
    /// The container that is connected to the second network.
    joins: String,
}

impl World {
    fn make(engine: &Engine, containers: u32) -> anyhow::Result<Self> {
        let networks = [0, 1].map(|which| format!("{}-{which}", engine.prefix));
        for (network, subnet) in networks.iter().zip(SUBNETS) {
            engine.network(network, &format!("{subnet}.0/24"))?;
        }
        let [first, second] = &networks;
        let sleeper = |name: &str, network: &str, endpoint: &Value| {
            engine.sleeper(&format!("{first}-{name}"), network, endpoint)
        };
        let stays = [(first, 0), (second, 1)];
        for (network, which) in stays {
            let stays = sleeper(&format!("stays{which}"), network, &shared(network, which, STAYS))?;
            engine.start(&stays)?;
        }
        let comes = sleeper("comes", first, &shared(first, 0, STAYS + 1))?;
        let joins = sleeper("joins", first, &json!({}))?;
        engine.start(&joins)?;
        for number in 4..containers {
            engine.start(&sleeper(&number.to_string(), first, &json!({}))?)?;
        }
        Ok(Self { networks, comes, joins })
    }

    fn questions(&self) -> [Question; 2] {
        [0, 1].map(|which| Question {
            query: query(&name(&self.networks[which]), SUFFIX, A, false),
            count: (1, 2),
            first: address(which, STAYS).to_bits(),
            span: 2,
        })
    }

    fn connect(&self, engine: &Engine) -> anyhow::Result<()> {
        let [_, network] = &self.networks;
        let endpoint = shared(network, 1, STAYS + 1);
        let body = json!({ "Container": self.joins, "EndpointConfig": endpoint });
        engine.call("POST", &format!("/networks/{network}/connect"), &body).map(drop)
    }

    fn disconnect(&self, engine: &Engine) -> anyhow::Result<()> {
        let body = json!({ "Container": self.joins });
        let path = format!("/networks/{}/disconnect", self.networks[1]);
        engine.call("POST", &path, &body).map(drop)
    }

    /// The process of the container that dies.
    fn process(&self, engine: &Engine) -> anyhow::Result<Pid> {
        let inspect =
            engine.call("GET", &format!("/containers/{}/json", self.comes), &Value::Null)?;
        let id = inspect["State"]["Pid"].as_i64().filter(|id| *id > 0).context("no process")?;
        Ok(Pid::from_raw(i32::try_from(id)?))
    }
}

/// The name that containers of a network share.
fn name(network: &str) -> String {
    format!("{network}-shared")
}

fn address(which: usize, last: u8) -> Ipv4Addr {
    format!("{}.{last}", SUBNETS[which]).parse().unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// An endpoint with the shared name of its network.
fn shared(network: &str, which: usize, last: u8) -> Value {
    let address = address(which, last).to_string();
    json!({ "Aliases": [name(network)], "IPAMConfig": { "IPv4Address": address } })
}

/// Another number of addresses in the answers to one of the questions than before.
struct Sight {
    /// Which question, and how many.
    what: (usize, u16),
    at: SystemTime,
}

/// What the engine told.
struct Told {
    action: String,
    container: String,
    at: SystemTime,
}

/// A thread that asks all the time, and one that reads the engine's events.
struct Watch {
    sights: Receiver<Sight>,
    told: Receiver<Told>,
    stop: Arc<AtomicBool>,
    prober: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Watch {
    fn begin(server: SocketAddr, questions: [Question; 2]) -> anyhow::Result<Self> {
        let (events, told) = channel();
        let filters = "%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D";
        let path = format!("/events?filters={filters}");
        let stream = BufReader::new(send(Path::new(SOCKET), "GET", &path, None)?);
        // It ends with the process.
        std::thread::spawn(move || {
            let told = stream.lines().map_while(Result::ok).filter_map(|line| event(&line));
            told.map_while(|told| events.send(told).ok()).for_each(drop);
        });
        let (seen, sights) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let prober = std::thread::spawn(move || probe(server, questions, &seen, &ended));
        let mut watch = Self { sights, told, stop, prober: Some(prober) };
        watch.await_answer((0, 1))?;
        watch.await_answer((1, 1))?;
        Ok(watch)
    }

    /// Makes a change, and measures it.
    fn time(
        &mut self,
        times: &mut Times,
        action: &str,
        container: &str,
        answer: (usize, u16),
        change: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while self.told.try_recv().is_ok() {}
        change()?;
        let returned = SystemTime::now();
        let answered = self.await_answer(answer)?;
        let happened = loop {
            let told = self.told.recv_timeout(PATIENCE).with_context(|| format!("no {action}"))?;
            if (told.action.as_str(), told.container.as_str()) == (action, container) {
                break told.at;
            }
        };
        // The answer may be there before either: the engine tells after it has done it.
        times.from_event.push(answered.duration_since(happened).unwrap_or_default());
        times.from_return.push(answered.duration_since(returned).unwrap_or_default());
        Ok(())
    }

    /// When the answers to a question began to have so many addresses.
    fn await_answer(&mut self, what: (usize, u16)) -> anyhow::Result<SystemTime> {
        loop {
            match self.sights.recv_timeout(PATIENCE) {
                Ok(sight) if sight.what == what => return Ok(sight.at),
                Ok(_) => {}
                Err(why) => {
                    self.end()?;
                    bail!("question {} never had {} addresses: {why}", what.0, what.1);
                }
            }
        }
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(prober) = self.prober.take() else { return Ok(()) };
        prober.join().map_err(|_| anyhow!("the prober panicked"))?
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Asks both questions in turn, and tells when the number of addresses is another one.
fn probe(
    server: SocketAddr,
    questions: [Question; 2],
    seen: &Sender<Sight>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no socket to ask from")?;
    socket.connect(server).context("no socket to ask from")?;
    socket.set_read_timeout(Some(LOST))?;
    let (mut last, mut answer) = ([0; 2], [0; 512]);
    let mut questions = questions;
    for (id, which) in (0..=u16::MAX).cycle().zip([0, 1].into_iter().cycle()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(PAUSE);
        let question = &mut questions[which];
        question.query[..2].copy_from_slice(&id.to_be_bytes());
        socket.send(&question.query).context("the server does not listen any more")?;
        let Ok(length) = socket.recv(&mut answer) else { continue };
        let (at, answer) = (SystemTime::now(), &answer[..length]);
        if answer.get(..2) != Some(&id.to_be_bytes()[..]) {
            continue;
        }
        check(question, answer).map_err(|wrong| anyhow!("a wrong answer: {wrong:?}"))?;
        let count = u16::from_be_bytes([answer[6], answer[7]]);
        if count != last[which] {
            last[which] = count;
            if seen.send(Sight { what: (which, count), at }).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// What a line of the event stream tells of a container.
fn event(line: &str) -> Option<Told> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| Some(value.as_str()?.to_owned());
    let actor = &event["Actor"];
    let container = match event["Type"].as_str()? {
        "network" => &actor["Attributes"]["container"],
        _ => &actor["ID"],
    };
    let at = UNIX_EPOCH + Duration::from_nanos(event["timeNano"].as_u64()?);
    Some(Told { action: text(&event["Action"])?, container: text(container)?, at })
}
