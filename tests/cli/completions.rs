//! `sandbox completions SHELL`, and what the code it prints asks of us.

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn each_shell_is_given_code_that_asks_the_binary() {
    let desk = Desk::bare();
    for shell in ["bash", "zsh", "fish", "elvish"] {
        let code = desk.run(["completions", shell]).succeeds();
        assert!(code.contains("SANDBOX_COMPLETE"), "{shell}: {code}");
    }
}

#[test]
fn the_code_for_bash_is_bash() {
    let desk = Desk::bare();
    let code = desk.write("run/completions", &desk.run(["completions", "bash"]).succeeds());
    let script = format!("set -eu; source '{}'; complete -p sandbox", code.display());
    let output = std::process::Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("-F _clap_complete_sandbox sandbox"), "{said}");
}

#[test]
fn a_shell_that_we_do_not_know_is_refused_with_those_we_do() {
    let desk = Desk::bare();
    let ran = desk.call(["completions", "csh"]).gets_refused(Kind::Usage);
    insta::assert_snapshot!(ran.stderr, @"
    error: csh is no shell we know
      hint: shells: bash, elvish, fish, powershell, zsh
    ");
}

/// What the shell offers for the last of these words.
fn offered(desk: &Desk, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let call = desk.call(std::iter::once("--").chain(words.iter().copied()));
    let call = call.env("SANDBOX_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
    let call = call.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n");
    call.run().succeeds().lines().map(str::to_owned).collect()
}

#[test]
fn the_names_of_tasks_are_completed() {
    let desk = Desk::new();
    for (task, slot) in [("fix-login", 101), ("fix-logout", 102), ("other", 103)] {
        desk.made_at(task, slot);
    }
    for verb in ["up", "show", "env", "exec", "shell", "logs", "stop", "start", "down", "rm", "config"] {
        assert_eq!(offered(&desk, &["sandbox", verb, "fix"]), ["fix-login", "fix-logout"], "{verb}");
    }
    assert_eq!(offered(&desk, &["sandbox", "rm", "other", "fix-logi"]), ["fix-login"]);
}

#[test]
fn the_names_of_commands_are_completed() {
    let desk = Desk::new();
    assert_eq!(offered(&desk, &["sandbox", "comp"]), ["completions"]);
    assert_eq!(offered(&desk, &["sandbox", "env", "--format", "d"]), ["dotenv"]);
}

#[test]
fn outside_of_a_repository_no_names_are_offered_and_nothing_is_said() {
    let desk = Desk::bare();
    assert!(!offered(&desk, &["sandbox", "show", "fix"]).iter().any(|name| name.starts_with("fix")));
}
