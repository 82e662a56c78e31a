//! Processes of this machine, as the kernel shows them under `/proc`. Those of other users show little.

use std::fmt;
use std::fs;
use std::path::Path;

mod group;

pub use group::{Group, Held};

/// How much of a command line is shown.
const COMMAND_MAX_CHARS: usize = 60;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// What it is called: the beginning of its command line, else the kernel's name of it.
    pub command: String,
}

impl Process {
    /// The process of a number; none where it has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Process> {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
        let command: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let command = match command.char_indices().nth(COMMAND_MAX_CHARS) {
            Some((end, _)) => format!("{}…", &command[..end]),
            None if command.is_empty() => name.trim().to_owned(),
            None => command,
        };
        Some(Process { pid, command })
    }

    /// Whether its working directory is a directory or below it.
    #[must_use]
    pub fn works_in(&self, directory: &Path) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).is_ok_and(|cwd| cwd.starts_with(directory))
    }

    /// Whether it was started with a variable of this value. None where nobody can say yet: until a program has begun,
    /// its environment is empty.
    #[must_use]
    pub fn has_set(&self, variable: &str, value: &str) -> Option<bool> {
        let wanted = format!("{variable}={value}");
        let Ok(environment) = fs::read(format!("/proc/{}/environ", self.pid)) else { return Some(false) };
        let has = environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes());
        (has || !environment.is_empty()).then_some(has)
    }
}

/// As `COMMAND (pid N)`.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// The numbers of all processes.
pub fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes that work in a directory or below it, but for us, those that started us and those that we started.
#[must_use]
pub fn working_in(directory: &Path) -> Vec<Process> {
    let us = std::process::id();
    let ours = lineage(us);
    let strangers = all().filter(|pid| !ours.contains(pid)).filter_map(Process::of);
    let mut there: Vec<Process> = strangers.filter(|process| process.works_in(directory)).collect();
    there.retain(|process| !lineage(process.pid).contains(&us));
    there.sort_by_key(|process| process.pid);
    there
}

/// A process and all that it descends from.
fn lineage(pid: u32) -> Vec<u32> {
    std::iter::successors(Some(pid), |pid| parent(*pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    Stat::of(pid).map(|stat| stat.parent).filter(|parent| *parent > 0)
}

/// What the kernel says of a process in one line.
struct Stat {
    state: char,
    parent: u32,
    group: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may have anything in it.
        let mut fields = line.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Stat { state, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }

    /// Whether nothing is left of it but what its parent may ask for.
    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_and_those_who_started_us_do_not_count() {
        let here = std::env::current_dir().unwrap();
        let us = Process::of(std::process::id()).unwrap();
        assert!(us.works_in(&here) && !us.works_in(Path::new("/no/where")));
        assert_eq!(us.has_set("PATH", &std::env::var("PATH").unwrap()), Some(true));
        assert_eq!(us.has_set("PATH", ""), Some(false));
        let there = working_in(&here);
        assert!(lineage(us.pid).iter().all(|ours| there.iter().all(|process| process.pid != *ours)), "{there:?}");
        assert!(lineage(us.pid).contains(&1));
    }
}
