//! The server: sockets bound, a thread for each UDP socket, one for TCP and what waits for other
//! servers, and how they stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use tokio::sync::{Notify, mpsc};

use super::desk::Desk;
use super::sockets::{self, BindError, Sockets};
use super::{Service, tcp, udp, waiting};

/// UDP threads of one listening address: more do not make the kernel faster.
const MAX_THREADS: usize = 8;

/// Replies to datagrams that wait for their turn to wait for other servers.
const JOBS: usize = 1024;

/// A server with its sockets bound, not answering yet.
pub struct Server {
    sockets: Vec<Sockets>,
}

/// A server that answers.
pub struct Running {
    stop: Arc<AtomicBool>,
    stop_tcp: Arc<Notify>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Binds UDP and TCP on every address, both on the same port where the port is 0.
pub fn bind(addresses: &[SocketAddr]) -> Result<Server, BindError> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let bind = |address: &SocketAddr| sockets::bind(*address, processors.min(MAX_THREADS));
    Ok(Server { sockets: addresses.iter().map(bind).collect::<Result<_, _>>()? })
}

impl Server {
    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.sockets.iter().filter_map(|sockets| sockets.tcp.local_addr().ok())
    }

    /// Starts answering.
    ///
    /// It has threads of its own, so that nothing that the engine side does can hold up an answer.
    /// Each UDP thread reads no faster than it answers: a flood waits in the kernel's buffer, and
    /// what does not fit there is dropped, so it does not grow memory.
    pub fn start(self, service: &Service) -> io::Result<Running> {
        let mut running =
            Running { stop: Arc::default(), stop_tcp: Arc::default(), threads: Vec::new() };
        let mut listeners = Vec::new();
        let (jobs, waiting) = mpsc::channel(JOBS);
        for Sockets { udp, tcp } in self.sockets {
            listeners.push(tcp);
            for socket in udp {
                let (desk, stop) = (Desk::new(service.clone()), running.stop.clone());
                let jobs = jobs.clone();
                running.spawn("dns-udp", move || udp::serve(socket, desk, jobs, &stop))?;
            }
        }
        drop(jobs);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (service, stop) = (service.clone(), running.stop_tcp.clone());
        running.spawn("dns", move || {
            runtime.block_on(async {
                let connections = tcp::serve(listeners, service.clone(), &stop);
                let (served, ()) = tokio::join!(connections, waiting::finish(waiting, service));
                served
            })
        })?;
        Ok(running)
    }
}

impl Running {
    fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = work() {
                tracing::error!(%error, thread = name, "a DNS server has ended");
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Takes nothing more in, and waits until everything is answered that was taken in.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stop_tcp.notify_one();
        for thread in self.threads {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
    }
}
