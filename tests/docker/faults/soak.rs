//! Many sandboxes up and down in random order by several workers, each command killed at random: nothing is left at the end,
//! and no error is one of ours.

use std::sync::Mutex;
use std::thread;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::proxy::Proxy;
use super::{Door, Point, When};
use crate::yard::{KINDS, Ran, Running, Yard, labelled};

const WORKERS: usize = 8;

/// How large it is: tasks, and commands in all.
fn size() -> (u64, usize) {
    if super::all_are_wanted() { (50, 400) } else { (12, 60) }
}

/// One command after another, on one task after another.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// Up more often than down, so that there is something to take away.
    fn command(&mut self) -> &'static [&'static str] {
        const COMMANDS: [&[&str]; 8] =
            [&["up"], &["up"], &["up"], &["rm"], &["rm", "--force"], &["down"], &["stop"], &["undo"]];
        COMMANDS[usize::try_from(self.roll(8)).unwrap()]
    }
}

/// Runs a command that is killed, every third time, at some request.
fn run(yard: &Yard, words: &[&str], name: &str, dice: &mut Dice) -> Ran {
    let number = if dice.roll(3) == 0 { usize::try_from(dice.roll(40)).unwrap() + 1 } else { usize::MAX };
    let when = if dice.roll(2) == 0 { When::Before } else { When::After };
    let proxy = Proxy::open(yard.directory.join(name), Point { door: Door::Engine, number, when });
    let mut command = yard.command(words);
    command.env("DOCKER_HOST", format!("unix://{}", proxy.socket().display()));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let program = Running(command.spawn().unwrap());
    proxy.aim_at(pidfd_open(Pid::from_child(&program.0), PidfdFlags::empty()).unwrap());
    program.output()
}

/// A command may find nothing, somebody else at work, or something in its way; a bug of ours it may not.
fn complaint(ran: &Ran) -> Option<String> {
    let expected = matches!(ran.code, None | Some(0 | 7 | 8 | 9 | 14 | 15));
    (!expected || ran.stderr.contains("panicked")).then(|| format!("{}\n{ran}", ran.what))
}

#[test]
fn many_that_come_and_go_and_are_killed_leave_nothing() {
    let yard = Yard::new("soak");
    let seed = u64::from(std::process::id());
    let (tasks, commands) = size();
    let complaints = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (yard, complaints) = (&yard, &complaints);
            scope.spawn(move || {
                let mut dice = Dice(seed * 1000 + u64::try_from(worker).unwrap());
                for number in 0..commands / WORKERS {
                    let task = format!("t{}", dice.roll(tasks));
                    let words = [dice.command(), &[&task]].concat();
                    let ran = run(yard, &words, &format!("{worker}-{number}.sock"), &mut dice);
                    complaints.lock().unwrap().extend(complaint(&ran));
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "seed {seed}:\n{}", complaints.join("\n\n"));
    let last = yard.sandbox(&["rm", "--all", "--force"]);
    assert!(matches!(last.code, Some(0 | 7)), "seed {seed}: {last}");
    for kind in KINDS {
        assert_eq!(labelled(kind, &yard.labels(None)), [""; 0], "{kind}s, seed {seed}");
    }
    assert_eq!(labelled("volume", &yard.upper_labels(None)), [""; 0], "what clones wrote, seed {seed}");
    assert!(yard.claimed().is_empty(), "seed {seed}: {:?}", yard.claimed());
    assert_eq!(yard.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1, "seed {seed}");
    assert_eq!(yard.git(&["branch", "--list", "--format=%(refname:short)"]), "main", "seed {seed}");
    println!("soak: {commands} commands on {tasks} tasks by {WORKERS} workers, nothing left, nothing of ours failed");
}
