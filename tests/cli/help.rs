//! Help, version, and words that are no command.

use crate::desk::Desk;

#[test]
fn the_help_names_every_command_and_every_exit_code() {
    let desk = Desk::bare();
    let help = desk.run(["--help"]).succeeds();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(help.join("\n"), @"
    One command from a task name to a running, isolated stack; one command back to nothing.

    `sandbox up fix-login` gives a task its own git worktree and branch, its own Postgres and Redis, its
    own host ports, database names and env file. `sandbox rm fix-login` takes all of it away again, and
    refuses to lose work.

    Usage: sandbox [OPTIONS] <COMMAND>

    Commands:
      up           Bring a task's sandbox up: worktree, stack, env file, set-up; again: converge
      ls           List the sandboxes of this repository
      show         Show one sandbox
      env          Print a sandbox's environment
      exec         Run a command in a sandbox's worktree, or inside a service
      shell        Open a shell in a sandbox's worktree, with its environment
      logs         Show what the services have written
      stop         Stop the containers, keep everything
      start        Start what was stopped
      down         Remove containers and network, keep worktree and claims
      snapshot     Save the databases of a sandbox, for others to begin with
      pool         Keep databases in a file system with reflinks
      reset        Give a sandbox the databases that it stands on, or those of a snapshot
      rm           Remove sandboxes whole; refuses to lose work
      merge        Merge a task's branch, then remove the sandbox
      undo         Bring back what `rm` took
      gc           Remove what is merged, expired or orphaned
      lock         Keep a sandbox from being removed
      unlock       Let a sandbox be removed again
      trust        Allow the set-up that the settings ask for, or withdraw that
      config       Print the resolved Compose file
      images       List and build the images that sandboxes run
      doctor       Check that everything a sandbox needs is here
      completions  Print the shell code that completes commands and task names
      man          Print the manual page, or write one for each command
      help         Print this message or the help of the given subcommand(s)

    Options:
      -C <DIR>
              Work in this directory instead of the current one

          --json
              Answer in JSON, errors too

          --progress <HOW>
              How to show progress

              Possible values:
              - auto:  Bars in a terminal, lines elsewhere
              - bars:  Bars that move
              - lines: A line for each step that ends
              - json:  A JSON object a line, for machines
              - quiet: Warnings and errors only

              [env: SANDBOX_PROGRESS]
              [default: auto]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit codes:
       0 done                      13 a service failed
       1 unexpected                14 ports, subnets
       2 wrong usage               15 another process is at work
       3 not a task name           16 a file could not be read or written
       4 settings or Compose file  17 conflicts to be resolved first
       5 repository, no base       18 no such snapshot, no pool
       6 git failed or too old     19 there is one already
       7 no such sandbox           20 sandboxes stand on it
       8 would lose work           21 set-up that nobody has allowed
       9 protected, or not ours    22 the set-up failed
      10 engine gone or too old   126 `exec`: not executable
      11 engine of another host   127 `exec`: no such command
      12 image not to be had      130 interrupted
    `exec` passes the command's own exit code through.
    ");
}

#[test]
fn the_version_is_that_of_the_package() {
    let desk = Desk::bare();
    assert_eq!(desk.run(["--version"]).succeeds(), format!("sandbox {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn each_command_has_help_of_its_own() {
    let desk = Desk::bare();
    let help = desk.run(["--help"]).succeeds();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.len() > 15, "{verbs:?}");
    for verb in verbs.into_iter().filter(|verb| *verb != "help") {
        let its = desk.run([verb, "--help"]).succeeds();
        assert!(its.contains(&format!("Usage: sandbox {verb}")), "{its}");
    }
}

#[test]
fn what_cannot_be_understood_is_wrong_usage_and_says_so_on_stderr() {
    let desk = Desk::new();
    for args in [
        &[][..],
        &["upp"],
        &["up", "--bogus"],
        &["up", "a", "b"],
        &["ls", "extra"],
        &["--progress", "loud", "ls"],
        &["exec", "a", "--user", "root", "--", "true"],
        &["images"],
        &["up", "-x"],
    ] {
        let ran = desk.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
        let way_out = ["Usage: sandbox", "try '--help'"].iter().any(|words| ran.stderr.contains(words));
        assert!(way_out, "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn a_command_with_a_slip_in_it_is_guessed() {
    let desk = Desk::new();
    let ran = desk.run(["shwo"]);
    assert!(ran.stderr.contains("'show'"), "{}", ran.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let script = "\"$0\" --help | true; \"$0\" man | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}";
    let binary = env!("CARGO_BIN_EXE_sandbox");
    let output = std::process::Command::new("bash").args(["-c", script, binary]).current_dir(desk.root()).output();
    let output = output.unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
