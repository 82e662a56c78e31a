//! `sandbox exec TASK -- CMD`, in the worktree.

use std::fs;

use sandbox::error::Kind;
use serde_json::json;

use crate::desk::Desk;

#[test]
fn the_commands_own_exit_code_is_passed_through() {
    let desk = Desk::new();
    desk.made("fix");
    for code in [0, 1, 7, 42, 255] {
        assert_eq!(desk.run(["exec", "fix", "--", "sh", "-c", &format!("exit {code}")]).code, code);
    }
}

#[test]
fn the_command_runs_in_the_worktree_with_its_environment() {
    let desk = Desk::new();
    let made = desk.made("fix");
    let said = desk.run(["exec", "fix", "--", "sh", "-c", "pwd; echo $PWD; echo $DB_NAME $PGPORT; cat README"]);
    let path = made.path.display();
    assert_eq!(said.succeeds(), format!("{path}\n{path}\nblog_fix_development 15101\nread me\n"));
}

#[test]
fn the_callers_own_variables_stay_and_those_of_the_sandbox_win() {
    let desk = Desk::new();
    desk.made("fix");
    let call = desk.call(["exec", "fix", "--", "sh", "-c", "echo $MINE $DB_NAME"]);
    let said = call.env("MINE", "kept").env("DB_NAME", "another").run().succeeds();
    assert_eq!(said, "kept blog_fix_development\n");
}

#[test]
fn in_a_hook_git_inside_the_command_works_on_the_worktree() {
    let desk = Desk::new();
    let made = desk.made("fix");
    let call = desk.call(["exec", "fix", "--", "git", "rev-parse", "--show-toplevel", "--abbrev-ref", "HEAD"]);
    let git_dir = desk.repo().join(".git");
    let said = call.env("GIT_DIR", &git_dir).env("GIT_INDEX_FILE", git_dir.join("index")).run().succeeds();
    assert_eq!(said, format!("{}\nfix\n", made.path.display()));
}

#[test]
fn what_the_command_is_given_reaches_it_as_it_was_written() {
    let desk = Desk::new();
    desk.made("fix");
    let said = desk.run(["exec", "fix", "--", "printf", "%s|", "a b", "$HOME", "*", "", "--json", "-C"]).succeeds();
    assert_eq!(said, "a b|$HOME|*||--json|-C|");
}

#[test]
fn inside_the_worktree_the_task_may_be_left_out() {
    let desk = Desk::new();
    let made = desk.made("fix");
    let said = desk.call(["exec", "--", "printenv", "WORKTREE_NAME"]).within(&made.path).run().succeeds();
    assert_eq!(said, "fix\n");
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let desk = Desk::new();
    desk.made("fix");
    let ran = desk.call(["exec", "fix", "--", "no-such-program"]).gets_refused(Kind::CommandNotFound);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot run no-such-program
      because: No such file or directory (os error 2)
    ");
    desk.call(["exec", "fix", "--", "./README"]).gets_refused(Kind::NotExecutable);
}

#[test]
fn a_worktree_that_is_gone_is_named_with_the_command_that_makes_it_again() {
    let desk = Desk::new();
    let made = desk.made("fix");
    fs::remove_dir_all(&made.path).unwrap();
    let ran = desk.call(["exec", "fix", "--", "true"]).gets_refused(Kind::NoSuchSandbox);
    insta::assert_snapshot!(ran.stderr, @"
    error: the worktree [DESK]/src/blog-wt/fix is gone
      hint: `sandbox up fix` makes it again
    ");
}

#[test]
fn a_sandbox_that_is_not_there_runs_nothing() {
    let desk = Desk::new();
    desk.call(["exec", "nowhere", "--", "touch", "made"]).gets_refused(Kind::NoSuchSandbox);
}

#[test]
fn without_a_command_it_is_wrong_usage() {
    let desk = Desk::new();
    let ran = desk.run(["exec", "fix"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("<CMD>"), "{}", ran.stderr);
}

#[test]
fn a_service_that_runs_is_run_in_whatever_the_engines_list_says() {
    // A list that could not be brought up to date, because the disk was full.
    let listed = json!([{ "Id": "c0ffee", "Names": ["/blog_fix-redis-1"], "State": "exited", "Status": "Exited (0)" }]);
    let words = ["exec", "fix", "--service", "redis", "--", "true"];
    let desk = Desk::new();
    desk.made("fix");
    let running = json!({ "Id": "c0ffee", "State": { "Status": "running" } });
    let engine = desk.engine().with_containers(listed.clone()).with_inspected(running);
    desk.run(words);
    let commands = engine.commands();
    assert!(commands.iter().any(|it| it.contains("/containers/c0ffee/exec ")), "{commands:?}");

    let desk = Desk::new();
    desk.made("fix");
    let engine = desk.engine().with_containers(listed);
    let ran = desk.call(words).gets_refused(Kind::Service);
    insta::assert_snapshot!(ran.stderr, @"
    error: the service redis of fix does not run
      hint: `sandbox show fix` lists the services; `sandbox start fix` starts them
    ");
    assert!(engine.commands().is_empty());
}
