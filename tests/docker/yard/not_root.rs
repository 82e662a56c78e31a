//! A user who may use the engine and is not root: whoever runs the tests, or, where that is root, nobody in particular.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use super::{PROGRAM, Ran, Yard, finish};

/// A number that no account has.
const UID: u32 = 54_321;

/// See the module.
pub(crate) struct NotRoot<'a> {
    yard: &'a Yard,
    /// The program, where such a user may run it.
    program: PathBuf,
}

impl NotRoot<'_> {
    /// The owner of a yard from now on.
    pub(crate) fn of(yard: &Yard) -> NotRoot<'_> {
        let program = yard.directory.join("sandbox");
        fs::copy(PROGRAM, &program).unwrap();
        if is_root() {
            fs::set_permissions(&yard.directory, PermissionsExt::from_mode(0o755)).unwrap();
            let owner = format!("{UID}:{UID}");
            let given = Command::new("chown").args(["-R", &owner]).arg(&yard.directory).status().unwrap();
            assert!(given.success());
            // Git trusts what belongs to root's own user alone, and the scenario looks on as root.
            let trust = "[safe]\n\tdirectory = *\n";
            let settings = yard.directory.join("home/.gitconfig");
            fs::write(&settings, fs::read_to_string(&settings).unwrap() + trust).unwrap();
        }
        NotRoot { yard, program }
    }

    /// Runs the program in the main checkout.
    pub(crate) fn sandbox(&self, arguments: &[&str]) -> Ran {
        let mut command = if is_root() {
            let group = fs::metadata("/var/run/docker.sock").unwrap().gid();
            let mut command = Command::new("setpriv");
            let user = format!("--reuid={UID}");
            command.args([&*user, &format!("--regid={UID}"), &format!("--groups={group}"), "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        self.yard.surround(&mut command).args(arguments).current_dir(&self.yard.repo);
        finish(command)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
