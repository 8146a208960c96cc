//! The wire: questions in, answers out.
//!
//! `server` binds sockets and lets hickory's transports read them; `handler` is hickory's
//! `RequestHandler`, and thin; `respond` turns a request into a reply by the message rules, and
//! `answer` a question into records by asking the directory and the pure decision; `forward` passes
//! on what is not ours; `client` is the asking side, for `netalias query`.

mod answer;
mod client;
pub mod forward;
mod handler;
mod respond;
mod server;

pub use client::{AskError, Transport, ask};
pub use server::{BindError, Server, bind};

use std::sync::Arc;

use crate::directory::Reader;
use crate::status::Status;

/// What every answer is made from.
#[derive(Clone)]
pub struct Service {
    /// The live directory, and the policy in force.
    pub directory: Reader,
    /// Where answers are counted.
    pub status: Arc<Status>,
    /// Where names that are not ours are passed on.
    pub forwarder: forward::Forwarder,
}
