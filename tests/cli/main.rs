//! The binary as a user meets it: what it prints, how it ends, and what it leaves alone. No engine is needed; where one is
//! spoken to, it is a fake of the test's own. The tree of files is the tree of commands.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod desk;

mod completions;
mod config;
mod doctor;
mod engine;
mod env;
mod exec;
mod exit_codes;
mod full_disk;
mod gc;
mod help;
mod images;
mod interrupt;
mod killed;
mod lock;
mod logs;
mod losses;
mod ls;
mod man;
mod merge;
mod removal;
mod settings;
mod shell;
mod show;
mod undo;
mod up;
