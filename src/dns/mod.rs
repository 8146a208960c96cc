//! The wire: questions in, answers out.
//!
//! `server` binds sockets and lets hickory's transports read them; `handler` is hickory's
//! `RequestHandler`, and thin; `respond` turns a request into a reply by asking the directory and
//! the pure decision; `client` is the asking side, for `netalias query`.

mod client;
mod handler;
mod respond;
mod server;

pub use client::{AskError, Transport, ask};
pub use server::{BindError, Server, bind};

use std::sync::Arc;

use crate::directory::Reader;
use crate::model::Domains;
use crate::status::Status;

/// What every answer is made from.
#[derive(Clone)]
pub struct Service {
    /// The live directory.
    pub directory: Reader,
    /// The own domains.
    pub domains: Domains,
    /// TTL of positive answers, in seconds.
    pub ttl: u32,
    /// Where answers are counted.
    pub status: Arc<Status>,
}
