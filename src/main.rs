//! Parse, run, exit.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use sandbox::cli::{self, Cli};
use sandbox::commands::completions;
use sandbox::{report, session};

fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(Cli::command).var(completions::VARIABLE).complete();
    match Cli::try_parse() {
        Ok(cli) => session::run(cli),
        Err(error) => report::usage(&error, cli::wants_json(std::env::args_os())),
    }
}
