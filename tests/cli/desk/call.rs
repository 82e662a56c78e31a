//! One run of the binary, and what came of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use sandbox::error::Kind;

use super::{Desk, Footprint, NOBODY};

/// Nothing here takes a tenth of it; what does hangs.
const LONGEST: Duration = Duration::from_mins(1);

/// A run to be.
pub(crate) struct Call<'a> {
    desk: &'a Desk,
    command: Command,
    shown: String,
}

/// A run that is over.
pub(crate) struct Ran {
    /// The exit code.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
    shown: String,
}

impl Desk {
    /// A run of the binary in the repository.
    pub(crate) fn call<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Call<'_> {
        let mut command = if self.as_nobody { self.as_nobody() } else { Command::new(env!("CARGO_BIN_EXE_sandbox")) };
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let shown: Vec<_> =
            std::iter::once("sandbox".into()).chain(args.iter().map(|arg| arg.to_string_lossy())).collect();
        let shown = shown.join(" ");
        let start = if self.repo().is_dir() { self.repo() } else { self.root.join("src") };
        command.env_clear().envs(self.environment()).args(args).current_dir(start).timeout(LONGEST);
        Call { desk: self, command, shown }
    }

    /// Runs the binary in the repository.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.call(args).run()
    }

    /// The binary, in a place where nobody may run it from, as nobody.
    fn as_nobody(&self) -> Command {
        let copy = self.root.join("run/sandbox");
        if !copy.exists() {
            fs::copy(env!("CARGO_BIN_EXE_sandbox"), &copy).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string(), "--clear-groups"]).arg(copy);
        command
    }
}

impl Call<'_> {
    /// In another directory.
    pub(crate) fn within(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// With a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ran {
        let output = self.command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let Some(code) = output.status.code() else { panic!("{} did not end by itself", self.shown) };
        Ran { code, stdout: text(output.stdout), stderr: text(output.stderr), shown: self.shown }
    }

    /// Runs it, and insists that it is refused and that nothing at all was made, changed or removed on the desk.
    pub(crate) fn gets_refused(self, kind: Kind) -> Ran {
        let desk = self.desk;
        let before = Footprint::of(desk);
        let ran = self.run().fails(kind);
        let after = Footprint::of(desk);
        assert_eq!(after.since(&before), Vec::<String>::new(), "{} left something behind", ran.shown);
        ran
    }
}

impl Ran {
    /// Insists that it went well, and gives what it wrote to stdout.
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.code, 0, "{} failed: {}", self.shown, self.stderr);
        self.stdout
    }

    /// Insists on one error, of this kind, on stderr alone.
    pub(crate) fn fails(self, kind: Kind) -> Ran {
        assert_eq!(self.stdout, "", "{} put something on stdout beside its error", self.shown);
        self.fails_after_data(kind)
    }

    /// The same where something had been said before it failed.
    pub(crate) fn fails_after_data(self, kind: Kind) -> Ran {
        let Ran { code, stdout, stderr, shown } = &self;
        assert_eq!(*code, i32::from(kind.exit_code()), "{shown} ended with another code; it said: {stderr}{stdout}");
        let errors = stderr.lines().filter(|line| line.starts_with("error:") || line.starts_with("{\"")).count();
        assert_eq!(errors, 1, "{shown} did not say one error: {stderr}");
        assert!(!stderr.contains("panicked"), "{shown}: {stderr}");
        self
    }
}
