//! What went wrong with one request, told apart far enough to act on it.
//!
//! Callers inside `engine/` look at the status and the text first, since some refusals are the outcome asked for
//! (a removed thing is gone); what remains becomes the crate's error.

use std::time::Duration;

use bollard::errors::Error as Bollard;

use crate::error::{Error, Kind};

/// What helps where the engine's disk is full.
pub(super) const DISK_FULL: &str = "the engine's disk is full: `docker system df` says with what; `sandbox gc` takes what sandboxes have left, \
                         and `sandbox pool trim` gives back what is free in a pool; or the pool is, as `sandbox pool show` says";

/// What helps where the kernel's words for a full disk are among somebody's.
pub(crate) fn disk_full(said: &str) -> Option<&'static str> {
    // A server says it of its shared memory too, which is none of the disk.
    let is_full = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.contains("no space left on device") && !line.contains("shared memory")
    };
    said.lines().any(is_full).then_some(DISK_FULL)
}

/// Why one request did not do what it was to do.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine is well and said no.
    Refused {
        /// The HTTP status; 0 when the refusal came within a stream of messages.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// No answer within the deadline.
    TimedOut(Duration),
    /// The connection failed or broke: the engine is gone, or going.
    Away(Bollard),
    /// The answer could not be read.
    Garbled(Bollard),
}

impl From<Bollard> for Failure {
    fn from(error: Bollard) -> Self {
        match error {
            Bollard::DockerResponseServerError { status_code, message } => {
                Failure::Refused { status: status_code, message: message.trim().to_owned() }
            }
            Bollard::DockerStreamError { error } => Failure::Refused { status: 0, message: error.trim().to_owned() },
            Bollard::DockerContainerWaitError { error, .. } => Failure::Refused { status: 0, message: error },
            Bollard::HyperLegacyError { .. }
            | Bollard::HyperResponseError { .. }
            | Bollard::IOError { .. }
            | Bollard::RequestTimeoutError
            | Bollard::SocketNotFoundError(_) => Failure::Away(error),
            other => Failure::Garbled(other),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(err: std::io::Error) -> Self {
        Failure::Away(Bollard::IOError { err })
    }
}

impl Failure {
    /// The thing named does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Failure::Refused { status: 404, .. })
    }

    /// Somebody else is removing it at this moment. Towards the end of that a container is called dead; one that stays so is
    /// one that the engine failed to remove.
    pub(super) fn is_being_removed(&self) -> bool {
        matches!(self, Failure::Refused { status: 409, message }
            if ["already in progress", "is marked for removal", "which is being removed", "which is Dead"]
                .iter()
                .any(|text| message.contains(text)))
    }

    /// The engine's own words, if it is the engine that refused.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self {
            Failure::Refused { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The crate's error for an act that failed, such as `cannot create network blog_fix_default`.
    pub(super) fn into_error(self, act: &str) -> Error {
        self.into_error_of(Kind::Engine, act)
    }

    /// As [`Failure::into_error`], with the kind that a refusal has here. An engine that is gone or stuck stays
    /// [`Kind::Engine`] or [`Kind::NoAnswer`] whatever was asked of it.
    pub(super) fn into_error_of(self, refused: Kind, act: &str) -> Error {
        match self {
            Failure::Refused { message, .. } => {
                let hint = disk_full(&message);
                Error::new(refused, act).because(message).hint_if(hint)
            }
            Failure::TimedOut(limit) => {
                Error::new(Kind::NoAnswer, format!("{act}: no answer from the engine within {} s", limit.as_secs()))
                    .hint("see what it is doing: journalctl -u docker")
            }
            Failure::Away(cause) => Error::new(Kind::Engine, format!("{act}: the engine went away"))
                .because(cause)
                .hint("see whether it runs: systemctl status docker"),
            Failure::Garbled(cause) => {
                Error::new(Kind::Engine, format!("{act}: the engine's answer could not be read")).because(cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> Failure {
        Failure::Refused { status, message: message.to_owned() }
    }

    #[test]
    fn a_removal_that_somebody_else_began_is_recognised() {
        assert!(refused(409, "removal of container enginetest-a is already in progress").is_being_removed());
        for how in ["is being removed", "is Dead"] {
            assert!(refused(409, &format!("You cannot export container 4fa6 which {how}")).is_being_removed());
        }
        assert!(!refused(409, "You cannot remove a running container 4fa6. Stop the container").is_being_removed());
    }

    #[test]
    fn an_error_names_the_act_and_repeats_the_engines_words() {
        let error = refused(500, "no space left on device").into_error("cannot create volume v");
        assert_eq!(error.to_string(), "cannot create volume v: no space left on device");
        assert_eq!(error.kind(), Kind::Engine);
        assert!(error.hints()[0].starts_with("the engine's disk is full"));
    }

    #[test]
    fn an_engine_that_goes_away_is_an_engine_error_whatever_was_asked() {
        let gone = Failure::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(gone.into_error_of(Kind::Service, "cannot start x").kind(), Kind::Engine);
    }
}
