//! `sandbox gc`, as far as it goes without an engine that obeys.

use std::fs;

use sandbox::error::Kind;
use sandbox::record::Stage;

use crate::desk::{Desk, Footprint, hiding};

/// One sandbox of each kind, the work of most of them merged.
fn several() -> Desk {
    let desk = Desk::new();
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    let tasks = ["done", "squashed", "dirty", "locked", "fresh", "open", "expired", "half", "missing"];
    for (number, task) in (101..).zip(tasks) {
        let made = desk.made_at(task, number);
        let admin = desk.repo().join(".git/worktrees").join(task);
        match task {
            "done" | "squashed" | "dirty" | "locked" | "open" => desk.commit(&made.path, task, "work\n"),
            "expired" => {
                let mut record = made.record;
                record.expires = Some("2026-01-02T00:00:00Z".to_owned());
                record.write(&admin).unwrap();
            }
            "half" => made.record.at(Stage::Registered).write(&admin).unwrap(),
            "missing" => fs::remove_dir_all(&made.path).unwrap(),
            _ => {}
        }
        match task {
            "done" | "dirty" | "locked" => drop(desk.git(&desk.repo(), &["merge", "--quiet", "--no-edit", task])),
            "squashed" => {
                desk.git(&desk.repo(), &["merge", "--quiet", "--squash", task]);
                desk.git(&desk.repo(), &["commit", "--quiet", "-m", "All of it"]);
            }
            _ => {}
        }
    }
    fs::write(desk.worktrees().join("dirty/notes"), "mine\n").unwrap();
    desk.run(["lock", "locked", "--reason", "demo"]).succeeds();
    desk
}

#[test]
fn what_is_done_goes_and_what_is_dirty_locked_or_fresh_stays() {
    let desk = several();
    let engine = desk.engine();
    let before = Footprint::of(&desk);
    insta::assert_snapshot!(desk.run(["gc", "--dry-run"]).succeeds(), @"
    remove  done: merged into main
    remove  expired: expired at 2026-01-02T00:00:00Z
    remove  half: half-made: its `up` did not come to an end
    remove  missing: its worktree's directory is gone
    remove  squashed: contained in main
    keep    dirty: merged into main; but 1 untracked file: notes
    keep    fresh: neither merged nor expired
    keep    locked: merged into main; but it is locked: demo (an unknown user)
    keep    open: neither merged nor expired
    ");
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
    // Nobody is there to be asked.
    desk.run(["gc"]).fails_after_data(Kind::Usage);
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
    desk.run(["gc", "--yes"]).succeeds();
    assert_eq!(desk.run(["ls", "-q"]).succeeds(), "dirty\nfresh\nlocked\nopen\n");
    assert!(engine.commands().is_empty());
    // What was merged can be had again.
    desk.run(["undo", "squashed"]).succeeds();
    assert_eq!(fs::read_to_string(desk.worktrees().join("squashed/squashed")).unwrap(), "work\n");
}

/// Intent: that it followed the default branch is no work that has arrived.
#[test]
fn a_branch_that_only_followed_the_default_one_stays() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&desk.repo(), "other", "1\n");
    desk.git(&made.path, &["merge", "--quiet", "--ff-only", "main"]);
    assert_eq!(desk.run(["gc", "--dry-run"]).succeeds(), "keep    fix: neither merged nor expired\n");
    desk.commit(&made.path, "feature", "1\n");
    desk.git(&desk.repo(), &["merge", "--quiet", "fix"]);
    assert_eq!(desk.run(["gc", "--dry-run"]).succeeds(), "remove  fix: merged into main\n");
}

#[test]
fn the_answer_in_json_is_one_document() {
    let desk = several();
    let _engine = desk.engine();
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let plan = read(desk.run(["gc", "--dry-run", "--json"]).succeeds());
    assert_eq!(plan["gc"]["remove"].as_array().unwrap().len(), 5);
    let answer = read(desk.run(["gc", "--yes", "--json"]).succeeds());
    assert_eq!(answer["gc"]["removed"].as_array().unwrap().len(), 5);
    assert_eq!(answer["gc"]["failed"], 0);
}

#[test]
fn a_claim_that_nobody_stands_behind_is_freed() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.git(&desk.repo(), &["worktree", "remove", "--force", made.path.to_str().unwrap()]);
    desk.git(&desk.repo(), &["update-ref", "-d", "refs/heads/fix"]);
    desk.git(&desk.repo(), &["update-ref", "-d", "refs/sandbox/made/fix"]);
    assert_eq!(desk.run(["gc", "--dry-run"]).succeeds(), "remove  fix: nothing but its claim is left\n");
    desk.run(["gc", "--yes"]).succeeds();
    assert!(!fs::read_to_string(desk.state().join("claims.json")).unwrap().contains("fix"));
    assert_eq!(desk.run(["gc"]).succeeds(), "");
}

#[test]
fn trash_goes_when_its_time_is_over() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    fs::write(desk.made("fix").path.join("notes"), "mine\n").unwrap();
    desk.run(["rm", "--force", "fix"]).succeeds();
    assert_eq!(desk.run(["gc"]).succeeds(), "");
    desk.write("src/blog/.sandbox.yaml", "trash_days: 0\n");
    let _size = hiding(r"\d+s old, \d+(\.\d)? kB", "[AGE] old, [SIZE]");
    insta::assert_snapshot!(desk.run(["gc", "--yes"]).succeeds(), @"
    remove  the trash of fix: [AGE] old, [SIZE]
    deleted: 1 from the trash, 0 images of old recipes, 0 snapshots
    ");
    desk.call(["undo", "fix"]).gets_refused(Kind::NoSuchSandbox);
    assert!(!desk.worktrees().exists());
    assert_eq!(desk.git(&desk.repo(), &["for-each-ref", "refs/sandbox"]), "");
}

#[test]
fn other_repositories_are_left_alone_unless_they_are_asked_for() {
    let desk = several();
    let _engine = desk.engine();
    let other = desk.root().join("src/other");
    fs::create_dir_all(&other).unwrap();
    desk.git(&other, &["init", "--quiet", "-b", "main"]);
    desk.commit(&other, "README", "1\n");
    let elsewhere = |args: &[&str]| desk.call(args).within(&other).run().succeeds();
    assert_eq!(elsewhere(&["gc", "--yes"]), "");
    let plan = elsewhere(&["gc", "--dry-run", "--machine"]);
    assert!(plan.contains("remove  done of blog: merged into main"), "{plan}");
    elsewhere(&["gc", "--yes", "--machine"]);
    assert_eq!(desk.run(["ls", "-q"]).succeeds(), "dirty\nfresh\nlocked\nopen\n");
}

#[test]
fn base_snapshots_go_that_are_old_and_that_nothing_stands_on() {
    let desk = Desk::new();
    let volume = |name: &str, created: &str, labels: serde_json::Value| {
        serde_json::json!({ "Name": name, "Driver": "local", "Mountpoint": "/v", "Scope": "local", "Options": {},
            "CreatedAt": created, "Labels": labels })
    };
    let manifest = |key: &str, service: &str, created: &str| {
        let labels = serde_json::json!({ "sandbox.snapshot": key, "sandbox.layers": format!("layer-{key}"),
            "sandbox.created": created, "sandbox.kind": "base", "sandbox.frozen": serde_json::json!([{ "volume": "data", "service": service,
            "image": "it", "layers": [format!("layer-{key}")], "databases": [] }]).to_string() });
        volume(&format!("sandbox_snapshot_{key}"), created, labels)
    };
    let (long_ago, now) = ("2026-01-01T00:00:00Z", jiff::Timestamp::now().strftime("%FT%TZ").to_string());
    let clone = serde_json::json!({ "sandbox.snapshot": "used", "sandbox.layers": "layer-used",
        "sandbox.repo": "/other/.git", "sandbox.task": "x" });
    let _engine = desk.engine().with_volumes(vec![
        manifest("unused", "postgres", long_ago),
        manifest("used", "redis", long_ago),
        manifest("young", "mysql", &now),
        volume("x_redis-data", long_ago, clone),
    ]);
    insta::assert_snapshot!(desk.run(["gc", "--dry-run"]).succeeds(), @"remove  the base snapshot unused (postgres): no sandbox stands on it");
}
