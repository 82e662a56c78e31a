//! Tries the kill points of one case, several at a time, and says how many came right.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use super::ground::{Data, Ground};
use super::{Door, Point};

/// How many points are tried at one time.
const WORKERS: usize = 3;

/// Every so manieth act is one, on one side of it and then the other, unless all are wanted on both.
const FRACTION: usize = 12;

/// There are fewer git commands than requests.
const FRACTION_OF_COMMANDS: usize = 6;

/// After so many failures no other point is tried.
const ENOUGH: usize = 12;

/// What is killed, where, and what is run then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) killed: &'static str,
    pub(super) door: Door,
    pub(super) then: &'static str,
    /// How the databases come by their data.
    pub(super) data: Data,
}

/// What came of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Converged,
    /// The next command did not do what it is for.
    Stuck,
    /// Something is left after `rm`.
    Leaked,
    /// Something is gone that was not the sandbox's.
    Lost,
}

/// How trying a point ended.
struct Ended {
    /// Whether the run came so far.
    reached: bool,
    verdict: Verdict,
    /// For one that failed.
    words: String,
}

/// What has been tried, and what is to be tried next.
#[derive(Debug, Default)]
struct Tally {
    /// Points handed out.
    begun: usize,
    /// The numbers of acts that a run ended without.
    beyond: Vec<usize>,
    verdicts: Vec<Verdict>,
    failures: Vec<String>,
}

impl Case {
    /// One with data as usual.
    pub(super) fn new(killed: &'static str, door: Door, then: &'static str) -> Case {
        Case { killed, door, then, data: Data::Usual }
    }

    /// Tries every point until a run ends without having reached it. The answer is the summary of a case that came right.
    pub(super) fn try_all(self) -> String {
        // What sets up a sandbox with data for every point takes twice as long.
        let slow = match self.data {
            Data::Usual => 1 + usize::from(self.keeps_data()),
            Data::Copies | Data::SetUp => 4,
            Data::Deep => 6,
        };
        let fraction = match self.door {
            Door::Engine => FRACTION * slow,
            Door::Git => FRACTION_OF_COMMANDS,
        };
        let every = if super::all_are_wanted() { 1 } else { fraction };
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for worker in 0..self.workers() {
                let tally = &tally;
                scope.spawn(move || self.work(worker, every, tally));
            }
        });
        let tally = tally.into_inner().unwrap();
        let summary = self.summary(&tally);
        self.keep(&summary);
        assert!(!tally.verdicts.is_empty(), "no point was reached");
        assert!(tally.failures.is_empty(), "{summary}\n\n{}", tally.failures.join("\n\n"));
        summary
    }

    /// One worker, with a ground of its own. After a point that failed it moves to another: nothing may be carried over.
    fn work(self, worker: usize, every: usize, tally: &Mutex<Tally>) {
        let mut grounds = 0;
        let mut fresh = || {
            grounds += 1;
            let Case { killed, door, then, data } = self;
            let killed: Vec<_> = killed.split([' ', '-']).filter(|word| !word.is_empty()).take(2).collect();
            let killed = killed.join("-");
            let name = format!("kill-{killed}-{door:?}-{then}-{data:?}-{worker}{grounds}").to_lowercase();
            Ground::new(&name, data)
        };
        let mut ground = fresh();
        loop {
            let Some(point) = tally.lock().unwrap().next(self.door, every) else { return };
            let ended = self.try_one(&ground, point);
            let failed = ended.verdict != Verdict::Converged;
            tally.lock().unwrap().enter(point, ended);
            if failed {
                ground = fresh();
            }
        }
    }

    /// A ground that takes long to lay out is laid out once, but for many points.
    fn workers(self) -> usize {
        if self.data == Data::Deep && !super::all_are_wanted() { 1 } else { WORKERS }
    }

    fn keeps_data(self) -> bool {
        matches!(self.killed, "reset" | "snapshot save")
    }

    fn try_one(self, ground: &Ground, point: Point) -> Ended {
        let mut at = None;
        let mut strays = None;
        let tried = stage(Verdict::Stuck, || {
            let (removes, forced) = (self.killed.starts_with("rm"), self.killed.ends_with("--force"));
            let merges = self.killed.starts_with("merge");
            let (resets, saves) = (self.killed == "reset", self.killed == "snapshot save");
            let sets_up = self.data == Data::SetUp;
            if self.keeps_data() {
                ground.bring_up_with_a_note();
            } else if removes {
                ground.bring_up_with_merged_work();
            } else if merges {
                ground.bring_up_with_work_to_merge();
            }
            if forced {
                ground.leave_notes();
            }
            strays = Some(ground.strays());
            let cut = ground.run_up_to(self.killed, point);
            at.clone_from(&cut.at);
            if cut.at.is_none() {
                cut.ran.ok();
            } else if self.then == "up" {
                ground.converge(if saves || sets_up { ground.frozen() } else { 0 });
            }
            if resets {
                ground.assert_note_in_all_or_none();
            } else if saves {
                ground.assert_saved_or_not();
            } else if sets_up {
                ground.assert_set_up();
            }
            if forced {
                ground.remove_by_force();
                ground.bring_notes_back();
            }
            if merges {
                ground.merge(self.killed);
            }
            ground.remove();
            if saves {
                ground.remove_saved();
            } else if sets_up {
                ground.remove_prepared();
            }
        });
        let strays = strays.as_ref();
        let tried = tried
            .and_then(|()| stage(Verdict::Leaked, || ground.assert_nothing_leaked(strays.unwrap())))
            .and_then(|()| stage(Verdict::Lost, || ground.assert_nothing_lost(strays.unwrap())));
        let Case { killed, then, .. } = self;
        let Point { number, when, .. } = point;
        let reached = at.is_some();
        let act = at.unwrap_or_else(|| "which was not reached".into());
        match tried {
            Ok(()) => Ended { reached, verdict: Verdict::Converged, words: String::new() },
            Err((verdict, words)) => {
                let point = format!("{killed} killed {when:?} {number} ({act}), then {then}");
                Ended { reached, verdict, words: format!("{point}: {verdict:?}\n{words}") }
            }
        }
    }

    fn summary(self, tally: &Tally) -> String {
        let Case { killed, door, then, data } = self;
        let acts = match door {
            Door::Engine => "engine requests",
            Door::Git => "git commands",
        };
        let count = |wanted| tally.verdicts.iter().filter(|verdict| **verdict == wanted).count();
        format!(
            "kill points of {killed}, {acts}, then {then}, data {data:?}: {} tried, {} converged, {} leaked, {} lost",
            tally.verdicts.len(),
            count(Verdict::Converged),
            count(Verdict::Leaked),
            count(Verdict::Lost),
        )
    }

    /// Where `make test-faults` reads it.
    fn keep(self, summary: &str) {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kill-points");
        fs::create_dir_all(&directory).unwrap();
        let Case { killed, door, then, data } = self;
        fs::write(
            directory.join(format!("{killed}-{door:?}-{then}-{data:?}").replace(' ', "")),
            format!("{summary}\n"),
        )
        .unwrap();
    }
}

impl Tally {
    /// The next point; none once both sides of one act were beyond the end of a run, where all are wanted: one alone may have been
    /// chance, for what goes on at one time does not always come in one order.
    fn next(&mut self, door: Door, every: usize) -> Option<Point> {
        let is_the_end = |number: &usize| every > 1 || self.beyond.iter().filter(|it| *it == number).count() == 2;
        if self.beyond.iter().any(is_the_end) || self.failures.len() >= ENOUGH {
            return None;
        }
        let point = Point::nth(self.begun, door, every, every);
        self.begun += 1;
        Some(point)
    }

    fn enter(&mut self, point: Point, Ended { reached, verdict, words }: Ended) {
        let failed = verdict != Verdict::Converged;
        self.beyond.extend((!reached).then_some(point.number));
        self.verdicts.extend((reached || failed).then_some(verdict));
        self.failures.extend(failed.then_some(words));
    }
}

/// A part of a scenario, whose failure is a verdict.
pub(super) fn stage(verdict: Verdict, part: impl FnOnce()) -> Result<(), (Verdict, String)> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        (verdict, words.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap_or_default())
    })
}
