//! The wire: questions in, answers out.
//!
//! `udp` and `tcp` carry octets, on the `sockets` that `server` binds; a `desk` makes a reply of a
//! request. It reads it (`request`), gives the answer from its `memo` if it can, and else turns it
//! into a reply by the message rules (`respond`), the question into records by asking the
//! directory and the pure decision (`answer`), and the reply into octets (`encode`). What is not
//! ours is passed on (`forward`), and its reply is `waiting` meanwhile. `handler` is the same for a
//! hickory server of somebody else's; `client` is the asking side, for `netalias query`.

mod answer;
mod asked;
mod client;
mod desk;
mod encode;
mod errors;
mod extended;
pub mod forward;
mod handler;
mod memo;
mod request;
mod respond;
mod seats;
mod server;
mod sockets;
mod tcp;
mod udp;
mod waiting;

pub use client::{AskError, Transport, ask};
pub use desk::{Desk, Read, Verdict};
pub use handler::Handler;
pub use memo::Keys;
pub use respond::Carrier;
pub use server::{Running, Server, bind};
pub use sockets::BindError;
pub use waiting::Waiting;

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
