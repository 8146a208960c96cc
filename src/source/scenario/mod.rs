//! The scenario source: plays docker commands without an engine, for the demo and the tests.
//!
//! `parse` reads the language, `engine` is the engine that the commands change; both are pure.

mod engine;
mod parse;
mod words;

pub use engine::{Engine, EngineError};
pub use parse::{
    Attach, Command, Create, Dig, Expected, Line, Run, ScenarioError, Verb, parse, parse_line,
};

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
