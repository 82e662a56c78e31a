//! Ports and subnets for one scenario at a time.
//!
//! Scenarios keep claims of their own, since some damage the file. So nothing but this keeps two that run at one time
//! from taking each other's ports while a sandbox is stopped.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How many scenarios can run at one time. Below the kernel's range for outgoing connections there is room for 15.
const LANES: u16 = 14;

/// Slots go from 101 to 999, so this many ports a lane.
const PORTS: u16 = 1000;

const FIRST_PORT: u16 = 17_000;

/// A range that is this process's as long as the file is open: the kernel frees it, however the process ends.
#[derive(Debug)]
pub(crate) struct Lane {
    number: u16,
    _lock: File,
}

impl Lane {
    /// A free lane; waits for one if all are taken.
    pub(crate) fn take() -> Lane {
        // Ports are the machine's: one set of locks for everybody who tests on it.
        let directory = Path::new("/var/tmp/sandbox-test-lanes");
        if fs::create_dir(directory).is_ok() {
            fs::set_permissions(directory, Permissions::from_mode(0o1777)).unwrap();
        }
        let open = |number: u16| {
            let path: PathBuf = directory.join(number.to_string());
            // Another's file cannot be written, and need not be.
            File::open(&path).or_else(|_| File::create_new(&path)).or_else(|_| File::open(&path)).unwrap()
        };
        for number in 0..LANES {
            let lock = open(number);
            if lock.try_lock().is_ok() {
                return Lane { number, _lock: lock };
            }
        }
        let number = u16::try_from(std::process::id() % u32::from(LANES)).unwrap();
        let lock = open(number);
        lock.lock().unwrap();
        Lane { number, _lock: lock }
    }

    /// The port of slot 0 for the application; those of Vite, Postgres and Redis are next to it.
    pub(crate) fn base(&self) -> u16 {
        FIRST_PORT + PORTS * self.number
    }

    /// The settings that keep a sandbox in the lane. The bases lie side by side: slots that meet are stepped over.
    pub(crate) fn settings(&self) -> String {
        let base = self.base();
        let variables = ["APP_PORT", "VITE_PORT", "POSTGRES_PORT", "REDIS_PORT"];
        let bases: Vec<String> =
            variables.iter().zip(base..).map(|(variable, base)| format!("  {variable}: {base}\n")).collect();
        format!("subnet_pool: 10.{}.0.0/16\nport_bases:\n{}", 160 + self.number, bases.concat())
    }
}
