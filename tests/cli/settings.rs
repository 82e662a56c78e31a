//! Settings that cannot be obeyed: file, line and key.

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn an_unknown_key_is_refused_with_its_file_and_line() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("src/blog/.sandbox.yaml", "env_file: .env.sandbox\nport_base: {APP_PORT: 3000}\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    insta::assert_snapshot!(ran.stderr, @"
    error: [DESK]/src/blog/.sandbox.yaml: cannot obey the setting `port_base`
      because: unknown field `port_base`, expected one of `worktrees`, `env_file`, `template`, `port_bases`, `subnet_pool`, `variables`, `dependencies`, `storage`, `setup`, `data_files`, `regenerable`, `trash_days`, `fetch_timeout_s`, `ready_timeout_s` at line 2 column 1
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_users_own_file_is_read_as_strictly() {
    let desk = Desk::new();
    let file = desk.write("home/config/sandbox/config.yaml", "\n\ntemplates: x\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    assert!(ran.stderr.contains(&file.display().to_string()), "{}", ran.stderr);
    assert!(ran.stderr.contains("`templates`") && ran.stderr.contains("line 3"), "{}", ran.stderr);
    // What works from labels and git alone goes on without, and says so.
    let ran = desk.call(["ls"]).run();
    assert!(ran.stderr.contains("going on without settings") && ran.stderr.contains("`templates`"), "{}", ran.stderr);
    ran.succeeds();
}

#[test]
fn two_variables_with_one_port_and_a_variable_that_no_template_has_are_refused() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.write("src/blog/.sandbox.yaml", "port_bases: {APP_PORT: 15000}\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    assert!(ran.stderr.contains("APP_PORT and POSTGRES_PORT both begin at 15000"), "{}", ran.stderr);
    desk.write("src/blog/.sandbox.yaml", "variables: {POSTGRES_IMGAE: x}\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    assert!(ran.stderr.contains("has no POSTGRES_IMGAE"), "{}", ran.stderr);
}

#[test]
fn a_place_below_home_is_written_as_in_a_shell() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let own = desk.write("home/config/sandbox/config.yaml", "worktrees: ~/trees\n");
    let plan = desk.run(["up", "--dry-run", "fix"]).succeeds();
    assert!(plan.contains(desk.root().join("home/trees/fix").to_str().unwrap()), "{plan}");
    std::fs::remove_file(own).unwrap();
}

/// Intent: what a repository says cannot put its files, its programs or its addresses where others look for theirs, nor
/// hide the user's files from git.
#[test]
fn a_repository_cannot_reach_beyond_itself() {
    let desk = Desk::new();
    let engine = desk.engine();
    for text in [
        "worktrees: /etc",
        "worktrees: ~/trees",
        "worktrees: ../../trees",
        "worktrees: ../a/../../b",
        "worktrees: .git/trees",
        "port_bases: {PATH: 4000}",
        "port_bases: {BASH_ENV: 4000}",
        "port_bases: {DATABASE_URL: 4000}",
        "env_file: '*'",
        "env_file: '.env[1]'",
        "env_file: .gitignore",
        "subnet_pool: 1.1.1.0/24",
        "subnet_pool: 0.0.0.0/0",
    ] {
        desk.write("src/blog/.sandbox.yaml", &format!("{text}\n"));
        let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
        assert!(ran.stderr.contains(text.split(':').next().unwrap()), "{text}: {}", ran.stderr);
    }
    for text in ["worktrees: ../trees", "worktrees: trees", "port_bases: {CABLE_PORT: 5000}", "env_file: .env.local"] {
        desk.write("src/blog/.sandbox.yaml", &format!("{text}\n"));
        desk.run(["up", "--dry-run", "fix"]).succeeds();
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn a_value_that_cannot_be_obeyed_is_refused_with_its_key() {
    let desk = Desk::new();
    let engine = desk.engine();
    for (text, key) in [
        ("subnet_pool: 10.0.0.0", "subnet_pool"),
        ("subnet_pool: [10.0.0.0/16]", "subnet_pool"),
        ("subnet_pool: 10.0.0.0/30", "subnet_pool"),
        ("port_bases: {APP_PORT: 65000}", "port_bases.APP_PORT"),
        ("port_bases: {APP_PORT: 80}", "port_bases.APP_PORT"),
        ("port_bases: {APP_PORT: 70000}", "port_bases.APP_PORT"),
        ("port_bases: {APP PORT: 3000}", "port_bases"),
        ("port_bases: {'': 3000}", "port_bases"),
        ("env_file: a/b", "env_file"),
        ("env_file: ''", "env_file"),
        ("env_file: .git", "env_file"),
        ("env_file: .compose.worktree.yaml", "env_file"),
        ("ready_timeout_s: soon", "ready_timeout_s"),
        ("fetch_timeout_s: -1", "fetch_timeout_s"),
        ("template: [x]", "template"),
        ("[]", ""),
        ("env_file: .env\nenv_file: .env2", "env_file"),
        ("env_file: .env\n\tx: y", ""),
    ] {
        desk.write("src/blog/.sandbox.yaml", text);
        let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
        assert!(ran.stderr.contains(key), "{text}: {}", ran.stderr);
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn an_unknown_template_is_refused_with_those_there_are() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("src/blog/.sandbox.yaml", "template: mysql\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: there is no template "mysql"
      hint: the setting `template` may be: postgres-redis
    "#);
    assert!(engine.commands().is_empty());
}

#[test]
fn the_environment_speaks_over_the_repository_and_that_over_the_user() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let plan = |directory: Option<&str>| {
        let call = desk.call(["up", "--dry-run", "fix"]);
        let call = if let Some(directory) = directory { call.env("SANDBOX_WORKTREES", directory) } else { call };
        call.run().succeeds()
    };
    desk.write("home/config/sandbox/config.yaml", &format!("worktrees: {}/user\n", desk.root().display()));
    assert!(plan(None).contains(&format!("{}/user/fix", desk.root().display())));
    desk.write("src/blog/.sandbox.yaml", "worktrees: ../repository\n");
    assert!(plan(None).contains("/repository/fix"));
    let environment = desk.root().join("environment");
    assert!(plan(environment.to_str()).contains(&format!("{}/fix", environment.display())));
}

#[test]
fn settings_are_those_of_the_main_checkout_in_every_worktree() {
    let desk = Desk::new();
    let made = desk.made("fix");
    desk.write("src/blog/.sandbox.yaml", "colour: blue\n");
    let ran = desk.call(["env"]).within(&made.path).gets_refused(Kind::Config);
    assert!(ran.stderr.contains("/src/blog/.sandbox.yaml"), "{}", ran.stderr);
}

#[test]
fn a_relative_directory_in_the_environment_is_relative_to_where_we_work() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let call = desk.call(["-C", "src/blog", "up", "--dry-run", "fix"]).within(desk.root());
    let plan = call.env("SANDBOX_WORKTREES", "../trees").run().succeeds();
    assert!(plan.contains(desk.root().join("src/trees/fix").to_str().unwrap()), "{plan}");
}

#[test]
fn a_place_inside_another_worktree_is_refused() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("outer");
    let ran = desk.call(["up", "fix"]).env("SANDBOX_WORKTREES", made.path.join("trees")).gets_refused(Kind::Config);
    insta::assert_snapshot!(ran.stderr, @"
    error: [DESK]/src/blog-wt/outer/trees/fix lies inside the worktree [DESK]/src/blog-wt/outer
      hint: a sandbox there would be deleted together with that worktree
      hint: set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory outside of it
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn dependencies_are_shared_or_isolated_and_nothing_else() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.write("src/blog/.sandbox.yaml", "dependencies: isolate\n");
    let plan = desk.run(["up", "--dry-run", "fix"]).succeeds();
    assert!(plan.contains("exclude /.bundle/ruby/ from git"), "{plan}");
    desk.write("src/blog/.sandbox.yaml", "dependencies: copy\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    assert!(ran.stderr.contains("`dependencies`"), "{}", ran.stderr);
}
