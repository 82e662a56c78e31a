//! `sandbox`: one command from a task name to a running, isolated stack; one command back to nothing.
//!
//! # The map of the house
//!
//! ```text
//! main ─▶ session ─▶ commands/VERB      what was typed (cli) becomes one call
//!                        │
//!                     resolve/           flags + files + git + claims → plan::Desired; every default taken
//!                        │
//!                     converge           resolve → observe → plan → apply, and again with what was learnt
//!                     removal            observe → weigh → plan → apply, and again until nothing is left
//!                        │
//!   plan/ (pure)  ◀──────┼──────▶  apply ── World { observe, perform } ──▶ world/
//!                        │                                                   ├─ engine/  the door to Docker
//!                     event ─▶ report/   the only place that prints          ├─ git/     the door to git
//!                                                                            └─ claims/  the door to the registry
//! ```
//!
//! | noun | where |
//! |---|---|
//! | a task's name and all names that follow from it | [`task`] |
//! | numbers reserved machine-wide | [`claims`], locked by [`locks`] |
//! | what a sandbox is, kept inside git | [`record`] |
//! | what there is now, for people | [`overview`]; what it uses [`usage`] |
//! | the Compose model | [`compose`] |
//! | templates and recipes inside the binary | [`catalog`]; building them [`images`] |
//! | settings, and the environment they come from | [`settings`] |
//! | the sandbox's own variables | [`env`](mod@env) |
//! | frozen states of data volumes, and clones over them | [`snapshot`] |
//! | where these are kept, and what that costs | [`storage`] |
//! | what prepares a worktree, and the consent to it | [`setup`] |
//! | what is done with, and may go | [`gc`] |
//! | asking servers whether they are ready | [`probe`] |
//! | small files, whole or not at all | [`files`] |
//! | a repository and everything around it | [`site`] |
//! | processes of this machine | [`processes`] |
//! | bytes as hexadecimal digits | [`hex`]; moments as text [`moment`] |
//! | what may go wrong, and its exit code | [`error`] |

pub mod apply;
pub mod catalog;
pub mod claims;
pub mod cli;
pub mod commands;
pub mod compose;
pub mod converge;
pub mod engine;
pub mod env;
pub mod error;
pub mod event;
pub mod files;
pub mod gc;
pub mod git;
pub mod hex;
pub mod images;
pub mod locks;
pub mod moment;
pub mod overview;
pub mod plan;
pub mod probe;
pub mod processes;
pub mod record;
pub mod removal;
pub mod report;
pub mod resolve;
pub mod session;
pub mod settings;
pub mod setup;
pub mod site;
pub mod snapshot;
pub mod storage;
pub mod task;
pub mod usage;
pub mod world;
