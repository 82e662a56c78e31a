//! `sandbox exec TASK -- CMD`

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Context, completions, task_name};
use crate::engine::{Engine, ExecSpec, State, Streams, labels, terminal};
use crate::env;
use crate::error::{Error, Kind, Result};
use crate::resolve::COMPOSE_FILE;
use crate::site::Sandbox;

/// Run a command in a sandbox's worktree, or inside a service.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Run it inside this service's container
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// The user inside the container
    #[arg(long, requires = "service")]
    user: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the verb. In the worktree this process becomes the command, so that signals and exit code are its own.
pub async fn run(args: Args, context: &Context) -> Result<u8> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let sandbox = site.get(&site.task(named.as_ref())?)?;
    match &args.service {
        None => Err(become_command(&sandbox, &args.command)),
        Some(service) => {
            let engine = context.engine().await?;
            let container = container(&engine, &sandbox, service).await?;
            inside(&engine, &container, &args).await
        }
    }
}

/// Becomes a command in the worktree, with the sandbox's environment. Returns only when it could not be started.
#[must_use]
pub fn become_command(sandbox: &Sandbox, command: &[OsString]) -> Error {
    let Some((program, arguments)) = command.split_first() else {
        return Error::new(Kind::Usage, "no command was given");
    };
    let path = &sandbox.worktree.path;
    if !path.is_dir() {
        return Error::new(Kind::NoSuchSandbox, format!("the worktree {} is gone", path.display()))
            .hint(format!("`sandbox up {}` makes it again", sandbox.task()));
    }
    let variables = env::variables(&sandbox.record, &path.join(COMPOSE_FILE));
    let mut command = Command::new(program);
    for name in env::foreign(&variables, |name| std::env::var_os(name)) {
        command.env_remove(name);
    }
    let cause = command.args(arguments).current_dir(path).envs(variables).env("PWD", path).exec();
    not_run(program, cause)
}

/// As shells have it: 127 for what is not there, 126 for what is and cannot be executed.
fn not_run(program: &OsStr, cause: io::Error) -> Error {
    let kind = if cause.kind() == io::ErrorKind::NotFound { Kind::CommandNotFound } else { Kind::NotExecutable };
    Error::new(kind, format!("cannot run {}", program.display())).because(cause)
}

async fn container(engine: &Engine, sandbox: &Sandbox, service: &str) -> Result<String> {
    let [repo, task] = labels::of(&sandbox.record.claim.identity);
    let found = engine.containers_looked_at(&[repo, task, (labels::SERVICE, Some(service))]).await?;
    let running = found.iter().find(|container| container.state == State::Running && !container.is_one_off());
    running.map(|container| container.id.clone()).ok_or_else(|| {
        let what = if found.is_empty() { "has no container" } else { "does not run" };
        Error::new(Kind::Service, format!("the service {service} of {} {what}", sandbox.task()))
            .hint(format!("`sandbox show {0}` lists the services; `sandbox start {0}` starts them", sandbox.task()))
    })
}

async fn inside(engine: &Engine, container: &str, args: &Args) -> Result<u8> {
    let words = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let tty = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let spec = ExecSpec { cmd: words, user: args.user.clone(), tty, interactive: true, ..ExecSpec::default() };
    let lent = if tty { terminal::RawMode::enter(std::io::stdin()) } else { Ok(None) };
    let _raw =
        lent.map_err(|cause| Error::new(Kind::Unexpected, "cannot lend the terminal to the command").because(cause))?;
    let streams = Streams {
        stdin: tokio::io::stdin(),
        stdout: tokio::io::stdout(),
        stderr: tokio::io::stderr(),
        sizes: terminal::sizes(std::io::stdout()),
    };
    let code = engine.exec_attached(container, &spec, streams).await?;
    Ok(u8::try_from(code).unwrap_or(1))
}
