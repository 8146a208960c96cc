//! The scenario source: plays docker commands without an engine, for the demo and the tests.
//!
//! `command` is what a line can say, `parse` reads it from `words`, `engine` carries it out: it
//! has the `books` of its networks, a `record` of each of its `containers`, and tells `events` as
//! a real one would. All are pure.

mod books;
mod command;
mod containers;
mod engine;
mod error;
mod events;
mod parse;
mod record;
mod words;

pub use books::Book;
pub use command::{
    Attach, Command, Create, Dig, Expected, Filter, Health, Labels, Line, Link, Port, Run, Signal,
    Verb,
};
pub use engine::Engine;
pub use error::EngineError;
pub use events::{Event, EventKind};
pub use parse::{ScenarioError, parse, parse_line};
pub use record::{Attachment, NetworkMode, Record, State};

use crate::directory::Publisher;

/// The scenario that netalias is named for.
pub const DEMO: &str = include_str!("demo.txt");
/// What the demo calls its scenario in messages.
pub const DEMO_NAME: &str = "demo.txt";

/// Plays commands into the directory.
pub struct Player {
    engine: Engine,
    publisher: Publisher,
}

impl Player {
    /// A new engine, whose default bridge is all there is. Its list is complete at once.
    #[must_use]
    pub fn new(publisher: Publisher) -> Self {
        let engine = Engine::default();
        for change in engine.everything() {
            publisher.apply(change);
        }
        publisher.source_is_complete();
        Self { engine, publisher }
    }

    /// Carries out one command; when it returns, every answer takes it into account.
    pub fn play(&mut self, command: &Command) -> Result<(), EngineError> {
        let mut changes = Vec::new();
        let result = self.engine.carry_out(command, &mut changes);
        for change in changes {
            self.publisher.apply(change);
        }
        result
    }
}
