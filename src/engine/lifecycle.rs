//! Starting, stopping, killing, removing and awaiting containers.
//!
//! What is gone already is stopped and removed; what somebody else is removing is awaited.

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
    WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use tokio::time::Instant;

use super::{
    deadline,
    docker::{Engine, bounded, next_within},
    failure::Failure,
};
use crate::error::{Kind, Result};

/// What came of starting a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It runs, or ran already.
    Started,
    /// A host port of its is in use; the engine's words. The container stays, not started, with the same ports.
    PortTaken(String),
}

/// How a container's run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its process ended with this code.
    Code(i64),
    /// It was removed before its code could be read, or never existed.
    Gone,
}

impl Engine {
    /// Starts a container, some 300 ms; one that is paused goes on.
    ///
    /// Errors: [`Kind::Service`] when the engine cannot run it (no such program, bad mount).
    pub async fn start(&self, id: &str) -> Result<Start> {
        match bounded(deadline::START, self.docker.start_container(id, None::<StartContainerOptions>)).await {
            Ok(()) => Ok(Start::Started),
            Err(failure) => match failure.refusal() {
                Some(text) if is_about_ports(text) => Ok(Start::PortTaken(text.to_owned())),
                Some(text) if text.contains("paused") => self.unpause(id).await.map(|()| Start::Started),
                _ => Err(failure.into_error_of(Kind::Service, &format!("cannot start container {id}"))),
            },
        }
    }

    async fn unpause(&self, id: &str) -> Result<()> {
        settled(bounded(deadline::START, self.docker.unpause_container(id)).await)
            .map_err(|failure| failure.into_error(&format!("cannot go on with the paused container {id}")))
    }

    /// Asks a container to stop, and kills it when the time is over that it was made with (its `stop_grace_period`). One
    /// that does not run, or is gone, is stopped.
    pub async fn stop(&self, id: &str) -> Result<()> {
        settled(bounded(deadline::STOP, self.docker.stop_container(id, None::<StopContainerOptions>)).await)
            .map_err(|failure| failure.into_error(&format!("cannot stop container {id}")))
    }

    /// Sends a signal, by name or number, to a container's first process. Whether there was one to receive it.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<bool> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match bounded(deadline::SIGNAL, self.docker.kill_container(id, Some(options))).await {
            Ok(()) => Ok(true),
            Err(Failure::Refused { status: 404, .. }) => Ok(false),
            Err(Failure::Refused { status: 409 | 500, message }) if message.contains("is not running") => Ok(false),
            Err(failure) => Err(failure.into_error(&format!("cannot send {signal} to container {id}"))),
        }
    }

    /// Removes a container, running or not, with the volumes that have no name and so no other owner. One that is gone
    /// already is removed.
    ///
    /// A removal that somebody else has begun is awaited, so that what the container used is free afterwards.
    pub async fn remove_container(&self, id: &str) -> Result<()> {
        let began = Instant::now();
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        loop {
            match bounded(deadline::REMOVE, self.docker.remove_container(id, Some(options.clone()))).await {
                Err(failure) if failure.is_being_removed() && began.elapsed() < deadline::REMOVE => {
                    tokio::time::sleep(deadline::REMOVAL_POLL).await;
                }
                outcome => {
                    return settled(outcome)
                        .map_err(|failure| failure.into_error(&format!("cannot remove container {id}")));
                }
            }
        }
    }

    /// Returns once a container is gone whose removal somebody has begun; at once where nobody has. As long as its process
    /// runs it is listed as running: only whoever asks for its files is told. Of those nothing is read.
    pub async fn await_begun_removal(&self, id: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            let mut files = self.docker.export_container(id).boxed();
            match next_within(deadline::LOOK, &mut files).await {
                Err(failure) if failure.is_being_removed() && began.elapsed() < deadline::REMOVE => {
                    tokio::time::sleep(deadline::REMOVAL_POLL).await;
                }
                Err(failure) if failure.refusal().is_none() || failure.is_being_removed() => {
                    return Err(failure.into_error(&format!("cannot look at container {id}")));
                }
                // Whatever else it refuses, it is not for that.
                _ => return Ok(()),
            }
        }
    }

    /// Resolves once a container has no running process: at once if it has none now, with code 0 if it never had one.
    /// Waits without a bound; drop it to stop waiting.
    pub async fn watch(&self, id: &str) -> Result<Exit> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut answers = self.docker.wait_container(id, Some(options)).boxed();
        match answers.next().await {
            Some(Ok(answer)) => Ok(Exit::Code(answer.status_code)),
            // The client library turns a code other than 0 into an error.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(Exit::Code(code)),
            Some(Err(error)) => match Failure::from(error) {
                failure if failure.is_not_found() => Ok(Exit::Gone),
                failure => Err(failure.into_error(&format!("cannot wait for container {id}"))),
            },
            // An engine that stops ends the answer without a word; so may a removal.
            None => match self.inspect(id).await? {
                Some(details) => Ok(details.exit_code.map_or(Exit::Gone, Exit::Code)),
                None => Ok(Exit::Gone),
            },
        }
    }
}

fn settled(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(failure) if failure.is_not_found() => Ok(()),
        outcome => outcome,
    }
}

/// Whether a refusal to start is about a host port. The kernel's text is in lower case; with a capital it is the
/// engine's, about a container's own address.
fn is_about_ports(message: &str) -> bool {
    ["port is already allocated", "address already in use", "ports are not available", "failed to bind host port"]
        .iter()
        .any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_from_other_refusals() {
        for message in [
            "driver failed programming external connectivity on endpoint a (6f0c): Bind for 127.0.0.1:15101 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint a (6f0c): Error starting userland proxy: listen tcp4 127.0.0.1:15101: bind: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint a (6f0c): failed to bind host port for 127.0.0.1:15101:172.17.0.2:5432/tcp: address already in use",
        ] {
            assert!(is_about_ports(message), "{message}");
        }
        assert!(!is_about_ports("Address already in use"));
        assert!(!is_about_ports("OCI runtime create failed: exec: \"nope\": executable file not found in $PATH"));
    }
}
