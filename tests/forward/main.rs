//! Names of others, over real sockets, at servers that delay, lie, stay silent or send anything.
//! `row_NN` is a row of the wire checklist that the name says; other names are classes of attack.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod attacks;
mod kept;
mod ours;
mod rows;
mod secure;
mod setup;
mod stop;
