//! How long each kind of call may take before the engine counts as stuck.
//!
//! Each figure is the slowest honest answer we know, with room for a machine that brings up many sandboxes at once;
//! none is a figure that a healthy engine comes near.

use std::time::Duration;

/// The first request. A healthy engine takes under a millisecond; one that is being started by its socket unit takes
/// a few seconds.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// Reading: lists and inspections take 1 to 20 ms, but wait behind a container's lock while that one starts.
pub(super) const LOOK: Duration = Duration::from_secs(30);

/// Making a container, network or volume: up to 100 ms each, but the engine makes networks one at a time, and two
/// hundred may be waiting.
pub(super) const CREATE: Duration = Duration::from_secs(90);

/// Starting: 300 ms alone, seconds among many; a volume's first use may copy the image's content into it.
pub(super) const START: Duration = Duration::from_mins(2);

/// Stopping: a service may name a grace of its own, and a large database one of minutes.
pub(super) const STOP: Duration = Duration::from_mins(10);

/// Sending a signal.
pub(super) const SIGNAL: Duration = Duration::from_secs(30);

/// Removing: a network takes up to 200 ms, one at a time; a container's file system with a million files a minute.
pub(super) const REMOVE: Duration = Duration::from_mins(2);

/// How often a removal that somebody else began is looked at.
pub(super) const REMOVAL_POLL: Duration = Duration::from_millis(50);

/// Silence during a pull. The engine retries a registry for some 15 s at a time and reports between.
pub(super) const PULL_SILENCE: Duration = Duration::from_mins(2);

/// Silence during a build: one step that compiles quietly.
pub(super) const BUILD_SILENCE: Duration = Duration::from_mins(30);

/// Silence while an archive is read in: the engine unpacks gigabytes before its first word.
pub(super) const LOAD_SILENCE: Duration = Duration::from_mins(10);

/// A command whose output we collect: administrative one-liners.
pub(super) const CAPTURE: Duration = Duration::from_mins(5);

/// After a command's output has ended, how long its exit code may take to be known.
pub(super) const EXIT_CODE: Duration = Duration::from_secs(10);
