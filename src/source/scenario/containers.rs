//! The engine's containers: how they are made, started, ended and removed.

use super::command::{Filter, Health, Link, Run, Signal, Verb};
use super::engine::{DEFAULT_BRIDGE, Engine, check_default_bridge, matches};
use super::error::EngineError;
use super::events::{Event, EventKind};
use super::record::{Attachment, NetworkMode, Record, State};
use crate::model::{Change, ContainerId, NetworkId};

impl Engine {
    /// A container that cannot start is not kept.
    pub(super) fn run(&mut self, run: &Run) -> Result<Change, EngineError> {
        let id = self.create_container(run)?;
        match self.start(&id) {
            Ok(()) => Ok(self.change(&id)),
            Err(error) => {
                self.forget(&id);
                self.happened.clear();
                Err(error)
            }
        }
    }

    pub(super) fn create_container(&mut self, run: &Run) -> Result<ContainerId, EngineError> {
        let id = ContainerId(self.next_id().into());
        let name = run.name.clone().unwrap_or_else(|| format!("container_{}", id.short()));
        self.check_name(&name)?;
        let (mode, hostname) = self.mode(run)?;
        let mut attachments = Vec::new();
        if !matches!(mode, NetworkMode::Container(_)) {
            let network = self.network(&run.attach.network)?.network.id.clone();
            attachments.push(Attachment::new(network, run.attach.clone()));
        }
        let record = Record {
            id: id.clone(),
            number: self.count,
            name: name.clone(),
            run: run.clone(),
            mode,
            hostname: hostname.unwrap_or_else(|| id.short().to_owned()),
            state: State::Created,
            started: 0,
            exit_code: 0,
            told_to_stop: false,
            health: None,
            attachments,
        };
        self.happened.push(Event::container(&record, "create", &[]));
        self.count += 1;
        self.names.insert(name, id.clone());
        self.containers.insert(id.clone(), record);
        Ok(id)
    }

    /// Where the network comes from, and the hostname if it is not the container's own id.
    fn mode(&self, run: &Run) -> Result<(NetworkMode, Option<String>), EngineError> {
        let network = run.attach.network.as_str();
        let own = run.hostname.clone();
        let (mode, hostname) = match (network, network.strip_prefix("container:")) {
            (_, Some(other)) => self.mode_of_another(run, other)?,
            ("host", _) => (NetworkMode::Host, own.or_else(|| Some("host".to_owned()))),
            ("none", _) => (NetworkMode::None, own),
            _ => (NetworkMode::Network(network.to_owned()), own),
        };
        match mode {
            NetworkMode::Network(_) if network != DEFAULT_BRIDGE => return Ok((mode, hostname)),
            NetworkMode::Network(_) => self.check_links(&run.attach.links)?,
            NetworkMode::Host | NetworkMode::Container(_) if !run.attach.links.is_empty() => {
                return Err(EngineError::Conflict("links"));
            }
            _ => {}
        }
        check_default_bridge(&run.attach)?;
        Ok((mode, hostname))
    }

    fn mode_of_another(
        &self,
        run: &Run,
        other: &str,
    ) -> Result<(NetworkMode, Option<String>), EngineError> {
        let conflicts = [
            (run.hostname.is_some(), "hostname"),
            (!run.published.is_empty(), "port publishing"),
            (!run.exposed.is_empty(), "port exposing"),
        ];
        if let Some((_, what)) = conflicts.into_iter().find(|(conflicts, _)| *conflicts) {
            return Err(EngineError::Conflict(what));
        }
        let other = self.record(other)?;
        Ok((NetworkMode::Container(other.id.clone()), Some(other.hostname.clone())))
    }

    /// On the default bridge links name containers that exist; elsewhere they may name anyone.
    fn check_links(&self, links: &[Link]) -> Result<(), EngineError> {
        for link in links {
            let other = self.record(&link.container)?;
            if other.mode != NetworkMode::Network(DEFAULT_BRIDGE.to_owned()) {
                return Err(EngineError::LinkOutside(other.name.clone()));
            }
        }
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), EngineError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if name.len() < 2 || !first || !name.chars().all(plain) {
            return Err(EngineError::InvalidName(name.to_owned()));
        }
        if self.names.contains_key(name) {
            return Err(EngineError::NameInUse(name.to_owned()));
        }
        Ok(())
    }

    pub(super) fn lifecycle(&mut self, verb: Verb, container: &str) -> Result<Change, EngineError> {
        let record = self.record(container)?;
        let (id, state) = (record.id.clone(), record.state);
        let name = || container.to_owned();
        match (verb, state) {
            (Verb::Start, State::Created | State::Exited) => self.start(&id)?,
            (Verb::Start, State::Running) | (Verb::Stop, State::Created | State::Exited) => {}
            (Verb::Stop, _) => self.stop(&id)?,
            (Verb::Restart, _) => {
                if state.is_running() {
                    self.stop(&id)?;
                }
                self.start(&id)?;
                self.tell(&id, "restart", &[]);
            }
            (Verb::Kill(signal), State::Running | State::Paused) => self.kill(&id, signal)?,
            (Verb::Pause, State::Running) => self.turn(&id, State::Paused, "pause")?,
            (Verb::Start | Verb::Pause, State::Paused) => return Err(EngineError::Paused(name())),
            (Verb::Unpause, State::Paused) => self.turn(&id, State::Running, "unpause")?,
            (Verb::Unpause, State::Running) => return Err(EngineError::NotPaused(name())),
            (Verb::Kill(_) | Verb::Pause | Verb::Unpause, _) => {
                return Err(EngineError::NotRunning(name()));
            }
            (Verb::Remove { force: false }, State::Running | State::Paused) => {
                return Err(EngineError::Running(name()));
            }
            (Verb::Remove { .. }, _) => self.remove(&id)?,
        }
        Ok(self.change(&id))
    }

    fn start(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        self.check_start(id)?;
        let mut attachments = std::mem::take(&mut self.get_mut(id)?.attachments);
        let result = attachments.iter_mut().try_for_each(|a| self.allocate(a));
        if result.is_err() {
            for attachment in &mut attachments {
                self.release(attachment);
            }
        }
        let networks: Vec<NetworkId> = attachments.iter().map(|a| a.network.clone()).collect();
        self.starts += 1;
        let starts = self.starts;
        let record = self.get_mut(id)?;
        record.attachments = attachments;
        result?;
        record.state = State::Running;
        record.started = starts;
        record.exit_code = 0;
        record.told_to_stop = false;
        record.health = record.run.health_check.as_ref().map(|_| Health::Starting);
        for network in networks {
            self.tell_network(&network, "connect", Some(id));
        }
        self.tell(id, "start", &[]);
        Ok(())
    }

    fn check_start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let record = self.get(id)?;
        if let NetworkMode::Container(other) = &record.mode {
            let other = self.get(other)?;
            if !other.state.is_running() {
                return Err(EngineError::CannotJoin(other.name.clone()));
            }
        }
        if record.mode == NetworkMode::Network(DEFAULT_BRIDGE.to_owned()) {
            for link in &record.run.attach.links {
                let other = self.record(&link.container)?;
                if !other.state.is_running() {
                    return Err(EngineError::LinkDown(other.name.clone()));
                }
            }
        }
        Ok(())
    }

    /// `docker stop`: what runs in the containers of scenarios does not listen to signals.
    fn stop(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let signal = self.get(id)?.run.stop_signal.unwrap_or(Signal::TERM);
        self.tell_kill(id, signal);
        self.kill(id, Signal::KILL)?;
        self.tell(id, "stop", &[]);
        Ok(())
    }

    fn kill(&mut self, id: &ContainerId, signal: Signal) -> Result<(), EngineError> {
        self.tell_kill(id, signal);
        let record = self.get_mut(id)?;
        record.told_to_stop |= signal == record.run.stop_signal.unwrap_or(Signal::TERM);
        if !signal.ends() {
            return Ok(());
        }
        let mut attachments = std::mem::take(&mut record.attachments);
        record.state = State::Exited;
        record.exit_code = 128 + signal.0;
        self.tell(id, "die", &[("exitCode", &(128 + signal.0).to_string())]);
        for attachment in &mut attachments {
            self.release(attachment);
            self.tell_network(&attachment.network, "disconnect", Some(id));
        }
        self.get_mut(id)?.attachments = attachments;
        Ok(())
    }

    fn remove(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        if self.get(id)?.state.is_running() {
            self.kill(id, Signal::KILL)?;
        }
        self.tell(id, "destroy", &[]);
        self.forget(id);
        Ok(())
    }

    fn forget(&mut self, id: &ContainerId) {
        if let Some(record) = self.containers.remove(id) {
            self.names.remove(&record.name);
        }
    }

    fn turn(&mut self, id: &ContainerId, state: State, action: &str) -> Result<(), EngineError> {
        self.get_mut(id)?.state = state;
        self.tell(id, action, &[]);
        Ok(())
    }

    pub(super) fn prune_containers(&mut self, filter: &Filter, changes: &mut Vec<Change>) {
        let down =
            |record: &&Record| !record.state.is_running() && matches(filter, &record.run.labels);
        let ids = self.containers.values().filter(down).map(|record| record.id.clone());
        for id in ids.collect::<Vec<_>>() {
            changes.extend(self.remove(&id).is_ok().then(|| self.change(&id)));
        }
        self.happened.push(Event::prune(EventKind::Container));
    }

    pub(super) fn rename(&mut self, old: &str, new: &str) -> Result<Change, EngineError> {
        let id = self.record(old)?.id.clone();
        if self.names.get(new) == Some(&id) {
            return Err(EngineError::SameName);
        }
        self.check_name(new)?;
        let old = std::mem::replace(&mut self.get_mut(&id)?.name, new.to_owned());
        self.names.remove(&old);
        self.names.insert(new.to_owned(), id.clone());
        self.tell(&id, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(self.change(&id))
    }

    pub(super) fn set_health(
        &mut self,
        container: &str,
        health: Health,
    ) -> Result<Change, EngineError> {
        let id = self.record(container)?.id.clone();
        let record = self.get_mut(&id)?;
        if record.run.health_check.is_none() {
            return Err(EngineError::NoHealthCheck(container.to_owned()));
        }
        if !record.state.is_running() {
            return Err(EngineError::NotRunning(container.to_owned()));
        }
        if record.health.replace(health) != Some(health) {
            self.tell(&id, &format!("health_status: {}", health.as_str()), &[]);
        }
        Ok(self.change(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// An engine with two networks, a running and a stopped container.
    const BEFORE: &str = "\
        docker network create --subnet 10.0.0.0/24 net\n\
        docker network create --subnet 10.0.1.0/24 other\n\
        docker run --name up --net net --ip 10.0.0.9 --label tier=web busybox\n\
        docker create --name down --net net busybox";

    fn engine() -> Engine {
        let mut engine = Engine::default();
        for line in parse("before", BEFORE).unwrap() {
            engine.carry_out(&line.command, &mut Vec::new()).unwrap();
        }
        engine
    }

    fn play(engine: &mut Engine, line: &str) -> Result<(), EngineError> {
        let line = parse("test", line).unwrap().remove(0);
        engine.carry_out(&line.command, &mut Vec::new())
    }

    #[track_caller]
    fn refused(line: &str, why: &str) {
        let mut engine = engine();
        let before = engine.everything();
        let error = play(&mut engine, line).expect_err(line);
        assert_eq!(error.to_string(), why, "{line}");
        assert_eq!(engine.everything(), before, "nothing has changed");
    }

    #[test]
    fn names_and_networks_are_refused_as_docker_does() {
        refused("docker run --name up busybox", "the container name \"up\" is already in use");
        refused("docker rename down up", "the container name \"up\" is already in use");
        let same = "renaming a container with the same name as its current name";
        refused("docker rename up up", same);
        let plain = "invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
        refused("docker create --name 'a b' busybox", plain);
        refused("docker network create net", "network with name net already exists");
        refused(
            "docker network create --subnet 10.0.0.128/25 third",
            "pool overlaps with other one on this address space: 10.0.0.128",
        );
        refused(
            "docker network create --subnet 10.3.0.0/24 --gateway 10.9.0.1 third",
            "no matching subnet for gateway 10.9.0.1",
        );
        refused("docker network rm net", "network net has active endpoints");
        refused(
            "docker network rm bridge",
            "bridge is a pre-defined network and cannot be removed",
        );
        refused("docker run --net third busybox", "network third not found");
        refused("docker start third", "no such container: third");
    }

    #[test]
    fn addresses_and_attachments_are_refused_as_docker_does() {
        refused("docker run --net net --ip 10.0.0.9 busybox", "address already in use: 10.0.0.9");
        refused(
            "docker run --net net --ip 10.0.1.9 busybox",
            "no configured subnet contains the address 10.0.1.9",
        );
        refused(
            "docker run --ip 10.0.0.7 busybox",
            "user specified IP address is supported on user defined networks only",
        );
        refused("docker network connect net up", "up is already attached to network net");
        refused(
            "docker network disconnect other up",
            "container up is not connected to network other",
        );
        let host =
            "container cannot be disconnected from host network or connected to host network";
        refused("docker network connect host up", host);
        refused("docker network disconnect host up", host);
        let alias =
            "network-scoped alias is supported only for containers in user defined networks";
        refused("docker run --net host --net-alias app busybox", alias);
        refused("docker network connect --alias app bridge up", alias);
    }

    #[test]
    fn states_are_refused_as_docker_does() {
        refused("docker rm up", "you cannot remove a running container up: stop it, or use -f");
        refused("docker kill down", "container down is not running");
        refused("docker pause down", "container down is not running");
        refused("docker unpause up", "container up is not paused");
        let no_check = "container up has no health check: give it one with --health-cmd";
        refused("health up healthy", no_check);
    }

    #[test]
    fn shared_networks_and_links_are_refused_as_docker_does() {
        let down = "cannot join network of a non running container: down";
        refused("docker run --net container:down busybox", down);
        refused("docker run --net container:third busybox", "no such container: third");
        let conflict = |what: &str| format!("conflicting options: {what} and the network mode");
        refused("docker run --net container:up -h me busybox", &conflict("hostname"));
        refused("docker run --net container:up -p 80 busybox", &conflict("port publishing"));
        refused("docker run --net container:up --expose 80 busybox", &conflict("port exposing"));
        refused("docker run --net host --link up busybox", &conflict("links"));
        let outside = "cannot link to up, as it does not belong to the default network";
        refused("docker run --link up:db busybox", outside);
        let mut engine = engine();
        play(&mut engine, "docker run --name side --net container:up busybox").unwrap();
        let error = play(&mut engine, "docker network connect other side").unwrap_err();
        assert_eq!(error, EngineError::SharedNetwork);
    }

    #[test]
    fn a_health_check_starts_over_with_its_container() {
        let mut engine = engine();
        play(&mut engine, "docker run --name hc --health-cmd true --net net busybox").unwrap();
        assert_eq!(engine.record("hc").unwrap().health, Some(Health::Starting));
        play(&mut engine, "health hc healthy").unwrap();
        let actions: Vec<&str> = engine.happened().iter().map(|e| e.action.as_str()).collect();
        assert_eq!(actions, ["health_status: healthy"]);
        play(&mut engine, "health hc healthy").unwrap();
        assert_eq!(engine.happened(), [], "only a change is told");
        play(&mut engine, "docker restart hc").unwrap();
        assert_eq!(engine.record("hc").unwrap().health, Some(Health::Starting));
    }

    #[test]
    fn prunes_take_what_is_down_and_what_is_unused() {
        let mut engine = engine();
        play(&mut engine, "docker create --name spare --label keep=no busybox").unwrap();
        play(&mut engine, "docker container prune -f --filter label=keep=no").unwrap();
        assert!(engine.record("spare").is_err() && engine.record("down").is_ok());
        play(&mut engine, "docker container prune").unwrap();
        assert!(engine.record("down").is_err() && engine.record("up").is_ok());
        play(&mut engine, "docker network prune").unwrap();
        assert!(engine.network("other").is_err() && engine.network("net").is_ok());
        let last = engine.happened().last().unwrap();
        assert_eq!((last.action.as_str(), last.id.as_str()), ("prune", ""));
    }

    #[test]
    fn several_containers_are_removed_up_to_the_first_that_cannot_be() {
        let mut engine = engine();
        let error = play(&mut engine, "docker rm down up").unwrap_err();
        assert_eq!(error, EngineError::Running("up".to_owned()));
        assert!(engine.record("down").is_err() && engine.record("up").is_ok());
    }
}
