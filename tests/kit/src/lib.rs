//! What the tests share: the binary as a process, questions, scenario runs, the docker command,
//! a fake engine, an engine of the test's own, a proxy that spoils what passes.

mod ask;
mod chance;
mod docker;
mod fake_engine;
mod fake_secure;
mod fake_upstream;
mod folder;
mod framed;
mod own_engine;
mod process;
mod proxy;
mod questions;
mod scenario;
mod wait;
mod witness;

pub use ask::{Answer, ask, ask_from, spread};
pub use chance::{said, seed};
pub use docker::{Docker, IMAGE, Unavailable, is_required, label};
pub use fake_engine::{Absence, Api, Asked, FakeEngine, Faults, OnEvents, SECRET};
pub use fake_secure::FakeSecure;
pub use fake_upstream::{
    Act, FakeUpstream, Seen, a_record, cname_record, soa_record, with_address,
};
pub use folder::Folder;
pub use framed::{framed, read_framed};
pub use own_engine::OwnEngine;
pub use process::{Process, kernel_port, signal};
pub use proxy::{Fault, Proxy, is_needed};
pub use questions::Questions;
pub use scenario::{CarriesOut, Core, OnEngine, Subject, Wire, check, on_loopback};
pub use wait::{PATIENCE, until, within};
pub use witness::{Owners, Witness};
