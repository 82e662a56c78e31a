//! Names that are no task's.

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_name_that_cannot_be_a_task_is_refused_and_the_reason_given() {
    let desk = Desk::new();
    let engine = desk.engine();
    let long = "x".repeat(201);
    let names = [
        ("", "it is empty"),
        (".", "a part that leads out of its directory"),
        ("..", "a part that leads out of its directory"),
        ("../x", "a part that leads out of its directory"),
        ("x/../y", "a part that leads out of its directory"),
        ("-x", "a part of it begins with a dash"),
        ("a b", "it contains a space"),
        (".git", "a part called .git"),
        ("a/.GIT", "a part called .git"),
        ("a\tb", "it contains a control character"),
        ("a\nb", "it contains a control character"),
        ("a\u{1b}[31mb", "it contains a control character"),
        ("naïve", "a character outside ASCII"),
        ("日本", "a character outside ASCII"),
        (&long, "it is longer than 200 bytes"),
        ("a//b", "it has an empty part"),
        ("/a", "it has an empty part"),
        ("a/", "it has an empty part"),
        ("a.lock", "ends with .lock"),
        ("a..b", "two dots in a row"),
        ("HEAD", "git means something else by it"),
        ("@", "git means something else by it"),
        ("a~1", "a meaning of its own in git or a shell"),
        ("$(x)", "a meaning of its own in git or a shell"),
    ];
    for (name, reason) in names {
        let ran = desk.call(["up", "--", name]).gets_refused(Kind::TaskName);
        assert!(ran.stderr.contains(reason), "{name:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: use letters, digits"), "{name:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'), "{name:?} reached the terminal as it is");
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn every_command_refuses_a_name_that_cannot_be_a_task() {
    let desk = Desk::new();
    for verb in ["up", "show", "env", "shell", "logs", "stop", "start", "lock", "unlock", "down", "rm", "config"] {
        desk.call([verb, "../x"]).gets_refused(Kind::TaskName);
    }
    desk.call(["exec", "../x", "--", "true"]).gets_refused(Kind::TaskName);
}

#[test]
fn a_name_of_200_bytes_is_a_task() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.run(["up", "--dry-run", &"x".repeat(200)]).succeeds();
}

#[test]
fn the_default_branch_is_no_task() {
    let desk = Desk::new();
    let engine = desk.engine();
    let ran = desk.call(["up", "main"]).gets_refused(Kind::Protected);
    insta::assert_snapshot!(ran.stderr, @"
    error: main cannot be a task: it is the default branch
      hint: choose a name of its own for the task; a new branch is made for it
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn the_branch_of_the_main_checkout_is_no_task() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.git(&desk.repo(), &["checkout", "--quiet", "-b", "mine"]);
    let ran = desk.call(["up", "mine"]).gets_refused(Kind::Protected);
    insta::assert_snapshot!(ran.stderr, @"
    error: mine cannot be a task: the main checkout [DESK]/src/blog has that branch checked out
      hint: choose a name of its own for the task; a new branch is made for it
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn two_names_that_fold_to_one_are_two_sandboxes() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.made("a-b");
    let plan = desk.run(["up", "--dry-run", "a_b"]).succeeds();
    let project = plan.lines().find_map(|line| line.split_once("create network ")).unwrap().1;
    assert!(project.starts_with("blog_a_b_") && !project.starts_with("blog_a_b_default"), "{plan}");
}

#[test]
fn a_task_left_out_is_the_one_whose_worktree_we_stand_in() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("fix-login");
    let inside = made.path.join("deep/down");
    std::fs::create_dir_all(&inside).unwrap();
    let text = desk.call(["env"]).within(&inside).run().succeeds();
    assert!(text.contains("WORKTREE_NAME=fix_login\n"), "{text}");
    for verb in ["up", "show", "env", "shell", "logs", "stop", "start", "lock", "unlock", "down", "rm"] {
        let ran = desk.call([verb]).gets_refused(Kind::Usage);
        assert!(ran.stderr.contains("no task was named, and this directory is in no sandbox's worktree"), "{verb}");
    }
    assert!(engine.commands().is_empty());
}
