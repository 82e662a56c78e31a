//! `sandbox man`

use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::error::{Error, Kind, Result};
use crate::report;

/// Print the manual page.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command into this directory instead
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<()> {
    let command = Cli::command();
    if let Some(directory) = &args.output {
        let failed = |cause| {
            Error::new(Kind::Files, format!("cannot write manual pages to {}", directory.display())).because(cause)
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        return clap_mangen::generate_to(command, directory).map_err(failed);
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|cause| Error::new(Kind::Unexpected, "cannot render the manual page").because(cause))?;
    report::bytes(&page)
}
