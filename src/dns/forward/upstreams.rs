//! Which servers are asked, and in which order: the configuration's or the system's, those that
//! work first, and never ourselves.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::exchange::Failure;
use super::secure::Secure;
use crate::model::{Forward, Name, Transport, Upstream, is_listening, nameservers};

/// Servers that are asked one question.
const MAX_TRIED: usize = 3;
/// The system's servers are looked up again after this time, when a question comes.
const RESOLV_CONF_PACE: Duration = Duration::from_secs(1);
/// For this time a server that failed is asked after the others.
const SHY: Duration = Duration::from_secs(10);

/// The servers in force.
pub(super) struct Upstreams {
    listen: Vec<SocketAddr>,
    state: Mutex<State>,
}

struct State {
    forward: Arc<Forward>,
    system: Vec<Upstream>,
    looked: Instant,
    /// Another number after each change, so that no answer outlives the servers that gave it.
    generation: u64,
    /// Servers named that are ourselves.
    own: HashSet<SocketAddr>,
    failed: HashMap<SocketAddr, Instant>,
    secure: Option<Arc<Secure>>,
}

impl Upstreams {
    /// `listen` is where we are asked ourselves.
    pub(super) fn new(listen: Vec<SocketAddr>, forward: Arc<Forward>) -> Result<Self, Failure> {
        // Once, before anything is served.
        let text = std::fs::read_to_string(&forward.resolv_conf).unwrap_or_default();
        let mut state = State {
            forward: Arc::default(),
            system: Vec::new(),
            looked: Instant::now(),
            generation: 0,
            own: HashSet::new(),
            failed: HashMap::new(),
            secure: None,
        };
        state.secure = secure(&forward)?;
        state.take(forward, nameservers(&text), &listen);
        Ok(Self { listen, state: Mutex::new(state) })
    }

    /// The number of what is in force, if nothing has to be looked up to know that.
    pub(super) fn current(&self, forward: &Arc<Forward>) -> Option<u64> {
        self.lock().current(forward)
    }

    /// Takes in what has changed: the policy, or the system's servers. Gives the number of what is
    /// in force now.
    pub(super) async fn refresh(&self, forward: &Arc<Forward>) -> u64 {
        let path = {
            let mut state = self.lock();
            if let Some(generation) = state.current(forward) {
                return generation;
            }
            // Whoever comes meanwhile goes on with what there is.
            state.looked = Instant::now();
            forward.resolv_conf.clone()
        };
        let system = read(&path).await;
        let mut state = self.lock();
        if state.forward != *forward {
            match secure(forward) {
                Ok(secure) => state.secure = secure,
                Err(error) => tracing::warn!(%error, "TLS to other servers stays as it was"),
            }
        }
        if state.forward != *forward || state.system != system {
            state.take(forward.clone(), system, &self.listen);
        }
        state.generation
    }

    /// Whom to ask for a name, in this order.
    pub(super) fn for_name(&self, name: &Name) -> Vec<Upstream> {
        let state = self.lock();
        let servers = match state.forward.domain_of(name) {
            Some(domain) => &domain.servers,
            None => state.forward.servers.as_ref().unwrap_or(&state.system),
        };
        let others = servers.iter().filter(|server| !state.own.contains(&server.address));
        let mut others: Vec<Upstream> = others.cloned().collect();
        let shy = |server: &Upstream| {
            let failed = state.failed.get(&server.address);
            failed.is_some_and(|since| since.elapsed() < SHY)
        };
        others.sort_by_key(shy);
        others.truncate(MAX_TRIED);
        others
    }

    /// TLS connections, if any server wants them.
    pub(super) fn secure(&self) -> Option<Arc<Secure>> {
        self.lock().secure.clone()
    }

    pub(super) fn works(&self, server: &Upstream) {
        self.lock().failed.remove(&server.address);
    }

    pub(super) fn fails(&self, server: &Upstream) {
        self.lock().failed.insert(server.address, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn current(&self, forward: &Arc<Forward>) -> Option<u64> {
        let same = Arc::ptr_eq(&self.forward, forward) || self.forward == *forward;
        let looked = forward.servers.is_some() || self.looked.elapsed() < RESOLV_CONF_PACE;
        (same && looked).then_some(self.generation)
    }

    fn take(&mut self, forward: Arc<Forward>, system: Vec<Upstream>, listen: &[SocketAddr]) {
        let named = forward.named_servers().chain(&system).map(|server| server.address);
        let own: HashSet<SocketAddr> = named.filter(|address| is_own(listen, *address)).collect();
        for address in own.difference(&self.own) {
            tracing::warn!(%address, "this server is netalias itself, and is not asked");
        }
        self.own = own;
        self.generation += 1;
        self.failed.clear();
        (self.forward, self.system) = (forward, system);
    }
}

/// Whether a server's address is ours. Behind the wildcard address that is every address of this
/// machine, but not the whole of 127.0.0.0/8: 127.0.0.11 is Docker's, with rules of its own.
fn is_own(listen: &[SocketAddr], address: SocketAddr) -> bool {
    let on_wildcard =
        listen.iter().any(|own| own.ip().is_unspecified() && own.port() == address.port());
    let here = || UdpSocket::bind((address.ip(), 0)).is_ok();
    is_listening(listen, address) || on_wildcard && !address.ip().is_loopback() && here()
}

fn secure(forward: &Forward) -> Result<Option<Arc<Secure>>, Failure> {
    let plain = |server: &Upstream| server.transport == Transport::Plain;
    if forward.named_servers().all(plain) {
        return Ok(None);
    }
    let authorities = forward.ca.as_ref().map(std::fs::read).transpose()?;
    Ok(Some(Arc::new(Secure::new(authorities.as_deref())?)))
}

async fn read(path: &Path) -> Vec<Upstream> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => nameservers(&text),
        Err(_) => Vec::new(),
    }
}
