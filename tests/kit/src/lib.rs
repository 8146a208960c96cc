//! What the tests share: the binary as a process, questions, scenario runs, the docker command.

mod ask;
mod docker;
mod process;
mod scenario;
mod wait;

pub use ask::{Answer, ask, ask_from, spread};
pub use docker::{Docker, IMAGE, LABEL, Unavailable};
pub use process::{Process, kernel_port};
pub use scenario::{Core, OnEngine, Subject, Wire, check, on_loopback};
pub use wait::{PATIENCE, until};
