//! `sandbox ls`

use serde_json::{Value, json};

use crate::desk::{Desk, hiding};

#[test]
fn without_an_engine_sandboxes_are_listed_with_their_state_unknown() {
    let desk = Desk::new();
    desk.made_at("fix-login", 101);
    desk.made_at("feature/auth", 102);
    let ran = desk.run(["ls"]);
    assert_eq!(ran.code, 0);
    let _age = hiding(r"\b\d+d  +", "[AGE]  ");
    insta::assert_snapshot!(ran.stdout, @"
    TASK          STATE    SERVICES  APP                                 AGE   WORKTREE
    feature/auth  unknown  ?/2       http://feature-auth.localhost:3102  [AGE]  [DESK]/src/blog-wt/feature-auth
    fix-login     unknown  ?/2       http://fix-login.localhost:3101     [AGE]  [DESK]/src/blog-wt/fix-login
    ");
    insta::assert_snapshot!(ran.stderr, @"warning: the engine does not answer, so states are unknown: there is no Docker Engine at [DESK]/run/docker.sock: No such file or directory (os error 2)");
}

#[test]
fn the_engine_says_how_each_sandbox_is() {
    let desk = Desk::new();
    for (task, slot) in [("all", 101), ("some", 102), ("none", 103), ("gone", 104)] {
        desk.made_at(task, slot);
    }
    let repo = desk.repo().join(".git").display().to_string();
    let container = |task: &str, service: &str, state: &str| {
        json!({
            "Id": format!("{task}-{service}"), "Names": [format!("/blog_{task}-{service}-1")], "State": state,
            "Status": "Up 3 minutes (healthy)", "Image": "redis:8",
            "Labels": { "sandbox.repo": repo, "sandbox.task": task, "sandbox.service": service },
        })
    };
    let containers = json!([
        container("all", "postgres", "running"),
        container("all", "redis", "running"),
        container("some", "postgres", "running"),
        container("some", "redis", "exited"),
        container("none", "redis", "exited"),
        container("lost", "redis", "running"),
    ]);
    std::fs::remove_dir_all(desk.worktrees().join("gone")).unwrap();
    let engine = desk.engine().with_containers(containers);
    let ran = desk.run(["ls", "--json"]);
    assert_eq!(ran.stderr, "");
    let answer: Value = serde_json::from_str(&ran.succeeds()).unwrap();
    let states: Vec<(&str, &str)> = answer["sandboxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| (view["task"].as_str().unwrap(), view["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("all", "running"),
            ("gone", "missing-worktree"),
            ("lost", "orphan"),
            ("none", "stopped"),
            ("some", "partial")
        ]
    );
    assert!(engine.commands().is_empty());
}

#[test]
fn the_answer_in_json_has_everything_that_is_known() {
    let desk = Desk::new();
    desk.made("feature/auth");
    let answer = desk.run(["ls", "--json"]).succeeds();
    insta::assert_snapshot!(answer, @r#"
    {
      "schema_version": 1,
      "sandboxes": [
        {
          "task": "feature/auth",
          "state": "unknown",
          "mend": null,
          "branch": "feature/auth",
          "worktree": "[DESK]/src/blog-wt/feature-auth",
          "project": "blog_feature_auth",
          "slot": 101,
          "ports": {
            "APP_PORT": 3101,
            "POSTGRES_PORT": 15101,
            "REDIS_PORT": 16101,
            "VITE_PORT": 4101
          },
          "app_url": "http://feature-auth.localhost:3101",
          "subnet": "10.231.101.80/28",
          "created": "2026-01-01T00:00:00Z",
          "expires": null,
          "locked": null,
          "services_wanted": 2,
          "services": []
        }
      ]
    }
    "#);
}

#[test]
fn what_is_not_whole_is_listed_with_the_command_that_mends_it() {
    let desk = Desk::new();
    let _engine = desk.engine();
    for (task, slot) in [("down", 101), ("gone", 102), ("moved", 103)] {
        desk.made_at(task, slot);
    }
    std::fs::remove_dir_all(desk.worktrees().join("gone")).unwrap();
    std::fs::rename(desk.worktrees().join("moved"), desk.worktrees().join("elsewhere")).unwrap();
    // The title of a column is as wide as what is below it, and the desk is where it is.
    let _title = hiding(r"WORKTREE  +", "WORKTREE  ");
    let _age = hiding(r"\b\d+d  +", "[AGE]  ");
    insta::assert_snapshot!(desk.run(["ls"]).succeeds(), @"
    TASK   STATE             SERVICES  APP                          AGE   WORKTREE  MENDED BY
    down   down              0/2       http://down.localhost:3101   [AGE]  [DESK]/src/blog-wt/down   sandbox up down
    gone   missing-worktree  0/2       http://gone.localhost:3102   [AGE]  [DESK]/src/blog-wt/gone   sandbox up gone
    moved  moved             0/2       http://moved.localhost:3103  [AGE]  [DESK]/src/blog-wt/moved  sandbox up moved
    ");
    // Whatever works on it under its lock tells git first.
    let ran = desk.run(["down", "moved"]);
    assert!(ran.stderr.contains("was moved: git knows it at"), "{}", ran.stderr);
    assert!(desk.run(["show", "moved"]).succeeds().contains("blog-wt/elsewhere"));
}

#[test]
fn quietly_only_the_names_are_printed() {
    let desk = Desk::new();
    desk.made_at("b", 101);
    desk.made_at("a", 102);
    assert_eq!(desk.run(["ls", "--quiet"]).succeeds(), "a\nb\n");
}

#[test]
fn a_repository_without_sandboxes_says_how_to_make_one() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let ran = desk.run(["ls"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    insta::assert_snapshot!(ran.stderr, @"note: blog has no sandboxes; `sandbox up TASK` makes one");
    let answer: Value = serde_json::from_str(&desk.run(["ls", "--json"]).succeeds()).unwrap();
    assert_eq!(answer, json!({ "schema_version": 1, "sandboxes": [] }));
}

#[test]
fn sandboxes_of_another_repository_are_not_listed() {
    let desk = Desk::new();
    desk.made("fix");
    desk.git(desk.root(), &["init", "--quiet", "--initial-branch=main", "src/other"]);
    let other = desk.root().join("src/other");
    assert_eq!(desk.call(["ls", "-q"]).within(other).run().succeeds(), "");
}

#[test]
fn it_lists_the_same_from_every_worktree() {
    let desk = Desk::new();
    let made = desk.made("fix");
    assert_eq!(desk.call(["ls", "-q"]).within(&made.path).run().succeeds(), "fix\n");
}

#[test]
fn a_sandbox_of_which_only_the_claim_is_left_is_listed() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.git(&desk.repo(), &["worktree", "remove", "--force", made.path.to_str().unwrap()]);
    assert!(desk.run(["ls"]).succeeds().contains("fix   partial"));
    assert!(desk.run(["show", "fix"]).succeeds().contains("partial (`sandbox up fix`)"));
}
