//! What the tests share: the binary as a process, questions, scenario runs, the docker command,
//! a fake engine.

mod ask;
mod docker;
mod fake_engine;
mod fake_secure;
mod fake_upstream;
mod folder;
mod process;
mod scenario;
mod wait;

pub use ask::{Answer, ask, ask_from, spread};
pub use docker::{Docker, IMAGE, Unavailable, is_required, label};
pub use fake_engine::{Absence, Api, Asked, FakeEngine, Faults, OnEvents, SECRET};
pub use fake_secure::FakeSecure;
pub use fake_upstream::{
    Act, FakeUpstream, Seen, a_record, cname_record, soa_record, with_address,
};
pub use folder::Folder;
pub use process::{Process, kernel_port};
pub use scenario::{CarriesOut, Core, OnEngine, Subject, Wire, check, on_loopback};
pub use wait::{PATIENCE, until, within};
