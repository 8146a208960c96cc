//! netalias: Docker's network-alias DNS as a service of its own.
//!
//! One writer folds what the engine says into a live directory; every answer is a pure function
//! of question, view and record set; the rest is transport.
//!
//! ```text
//! source/ ──Change──▶ model/registry ──Update──▶ directory ◀──read── dns/ , http/
//! (docker,            (pure fold)                (DashMap, one       (UDP and TCP,
//!  scenario)                                      Publisher)          pages)
//! ```
//!
//! Imports go downward only, and `source`, `dns` and `http` do not know each other;
//! `tests/tidy.rs` holds that.

pub mod cli;
pub mod config;
pub mod directory;
pub mod dns;
pub mod http;
pub mod model;
pub mod source;
pub mod status;
