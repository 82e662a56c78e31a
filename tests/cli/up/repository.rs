//! The repository that a command stands in.

use std::process::Command;

use sandbox::error::Kind;

use crate::desk::{Desk, is_root};

#[test]
fn a_directory_without_a_repository_gets_refused() {
    let desk = Desk::bare();
    let engine = desk.engine();
    for verb in [&["up", "fix"][..], &["ls"], &["env", "fix"], &["rm", "fix"], &["exec", "fix", "--", "true"]] {
        let ran = desk.call(verb).gets_refused(Kind::Repository);
        assert!(ran.stderr.contains("is not in a git repository"), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: git init"), "{}", ran.stderr);
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn a_directory_that_is_not_there_gets_refused() {
    let desk = Desk::new();
    let ran = desk.call(["-C", "gone", "ls"]).gets_refused(Kind::Repository);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot look for a git repository from [DESK]/src/blog/gone
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_directory_given_on_the_command_line_is_where_the_command_works() {
    let desk = Desk::new();
    desk.made("fix");
    for call in [
        desk.call(["-C", "src/blog", "env", "fix"]).within(desk.root()),
        desk.call(["env", "-C", "../blog-wt/fix"]),
        desk.call(["env", "fix", "-C", desk.repo().to_str().unwrap()]).within("/"),
    ] {
        let text = call.run().succeeds();
        assert!(text.contains("WORKTREE_NAME=fix\n"), "{text}");
    }
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_command_that_trusts_it() {
    let desk = Desk::new();
    let engine = desk.engine();
    give(&desk, 1);
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Repository);
    insta::assert_snapshot!(ran.stderr, @"
    error: [DESK]/src/blog is in a git repository that belongs to another user
      hint: git config --global --add safe.directory [DESK]/src/blog
    ");
    assert!(engine.commands().is_empty());
    give(&desk, 0);
}

/// Gives the repository to another user: root may, others within the range of `/etc/subuid` that is theirs, in which
/// they themselves are 0.
fn give(desk: &Desk, user: u32) {
    let mut command = if is_root() { Command::new("chown") } else { Command::new("unshare") };
    if !is_root() {
        command.args(["--user", "--map-root-user", "--map-auto", "chown"]);
    }
    let given = command.args(["-R", &user.to_string()]).arg(desk.repo()).status().unwrap();
    assert!(given.success(), "a repository cannot be given to another user: apt-get install uidmap");
}

#[test]
fn a_repository_inside_a_worktree_is_refused_unless_its_sandboxes_go_elsewhere() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("outer");
    let inner = made.path.join("vendor/inner");
    desk.git(&made.path, &["init", "--quiet", "--initial-branch=main", "vendor/inner"]);
    desk.commit(&inner, "README", "inner\n");
    let ran = desk.call(["up", "fix"]).within(&inner).gets_refused(Kind::Repository);
    insta::assert_snapshot!(ran.stderr, @"
    error: this repository lies inside the worktree [DESK]/src/blog-wt/outer
      hint: its sandboxes would be deleted together with that worktree
      hint: set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory outside of it
    ");
    let elsewhere = desk.root().join("src/inner-wt");
    let call = desk.call(["up", "--dry-run", "fix"]).within(&inner).env("SANDBOX_WORKTREES", &elsewhere);
    let plan = call.run().succeeds();
    assert!(plan.contains("/src/inner-wt/fix"), "{plan}");
    assert!(engine.commands().is_empty());
}

#[test]
fn in_a_hook_the_directory_decides_which_repository_is_meant() {
    let desk = Desk::new();
    desk.made("fix");
    let other = desk.root().join("src/other");
    desk.git(desk.root(), &["init", "--quiet", "--initial-branch=main", "src/other"]);
    desk.commit(&other, "README", "other\n");
    let _engine = desk.engine();
    for (args, expected) in
        [(&["env", "fix"][..], "COMPOSE_PROJECT_NAME=blog_fix\n"), (&["up", "--dry-run", "new"], "/src/blog-wt/new")]
    {
        let mut call = desk.call(args).env("GIT_WORK_TREE", &other).env("GIT_PREFIX", "sub/");
        for (name, file) in [("GIT_DIR", ".git"), ("GIT_COMMON_DIR", ".git"), ("GIT_INDEX_FILE", ".git/index")] {
            call = call.env(name, other.join(file));
        }
        let said = call.run().succeeds();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_real_hook_of_another_repository_can_call_us() {
    let desk = Desk::new();
    desk.made("fix");
    let other = desk.root().join("src/other");
    desk.git(desk.root(), &["init", "--quiet", "--initial-branch=main", "src/other"]);
    let said = desk.root().join("run/said");
    let script = format!(
        "#!/bin/sh\ncd '{}' && exec '{}' env fix > '{}'\n",
        desk.repo().display(),
        env!("CARGO_BIN_EXE_sandbox"),
        said.display()
    );
    let hook = desk.write("src/other/.git/hooks/pre-commit", &script);
    assert!(Command::new("chmod").arg("+x").arg(hook).status().unwrap().success());
    desk.commit(&other, "README", "other\n");
    assert!(std::fs::read_to_string(said).unwrap().contains("COMPOSE_PROJECT_NAME=blog_fix\n"));
}

#[test]
fn an_extension_that_git_does_not_know_is_refused_by_its_name() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.git(&desk.repo(), &["config", "core.repositoryFormatVersion", "1"]);
    desk.git(&desk.repo(), &["config", "extensions.timeTravel", "true"]);
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Repository);
    assert!(ran.stderr.contains("an extension that git does not know: timetravel"), "{}", ran.stderr);
    assert!(engine.commands().is_empty());
}

#[test]
fn an_extension_that_git_knows_and_libgit2_does_not_is_no_hindrance() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.made("here");
    desk.git(&desk.repo(), &["config", "core.repositoryFormatVersion", "1"]);
    desk.git(&desk.repo(), &["config", "extensions.partialClone", "origin"]);
    let plan = desk.run(["up", "--dry-run", "fix"]).succeeds();
    assert!(plan.contains("/src/blog-wt/fix"), "{plan}");
    assert_eq!(desk.run(["ls", "-q"]).succeeds(), "here\n");
}

#[test]
fn two_repositories_of_one_name_have_sandboxes_of_different_names() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.made("fix");
    desk.git(desk.root(), &["init", "--quiet", "--initial-branch=main", "src/twin/blog"]);
    let twin = desk.root().join("src/twin/blog");
    desk.commit(&twin, "README", "twin\n");
    let plan = desk.call(["up", "--dry-run", "fix"]).within(&twin).run().succeeds();
    assert!(plan.contains("create network blog_fix_") && !plan.contains("create network blog_fix_default"), "{plan}");
    assert!(!plan.contains("slot 101 "), "{plan}");
    desk.call(["env", "fix"]).within(&twin).gets_refused(Kind::NoSuchSandbox);
}
