//! Scenarios on a real Docker Engine, with the real program: intent, steps, and what the world looks like afterwards.
//!
//! Each scenario has a [`yard::Yard`] of its own. Without an engine they fail, and say so.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on ends where it stands")]

mod yard;

mod alone;
mod bad_input;
mod compose_client;
mod convergence;
mod crowd;
mod engine_of_its_own;
mod engine_of_its_own_pool;
mod env_file;
mod faults;
mod gc;
mod interruption;
mod looking_in;
mod prepared;
mod rails;
mod removal;
mod rest;
mod saved;
mod snapshots;
mod storage;
mod trouble;
