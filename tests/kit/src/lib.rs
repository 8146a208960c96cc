//! What the tests share: the binary as a process, questions, scenario runs, the docker command.

mod ask;
mod docker;
mod process;
mod scenario;
mod wait;

pub use ask::{Answer, ask, spread};
pub use docker::{Docker, IMAGE, Unavailable, label};
pub use process::{Process, kernel_port};
pub use scenario::{Core, OnEngine, Subject, Wire, check};
pub use wait::{PATIENCE, until};
