//! The table of exit codes, and errors as JSON.

use sandbox::error::Kind;
use serde_json::{Value, json};

use crate::desk::Desk;

/// `10 engine unreachable, refusing or too old` in either of the two columns.
fn documented(help: &str) -> Vec<u8> {
    let table =
        help.lines().skip_while(|line| *line != "Exit codes:").skip(1).take_while(|line| line.starts_with("  "));
    let mut codes: Vec<u8> = table
        .flat_map(|line| [line.get(..30).unwrap_or(line), line.get(30..).unwrap_or("")])
        .filter_map(|cell| cell.split_whitespace().next()?.parse().ok())
        .collect();
    codes.sort_unstable();
    codes
}

#[test]
fn the_help_documents_the_exit_codes_that_there_are_and_no_others() {
    let desk = Desk::bare();
    let help = desk.run(["--help"]).succeeds();
    let mut codes: Vec<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).chain([0]).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(documented(&help), codes);
}

#[test]
fn the_table_is_read_as_it_stands() {
    let table =
        "Exit codes:\n  0 done                        9 protected\n  8 would lose work           130 interrupted\nend";
    assert_eq!(documented(table), [0, 8, 9, 130]);
}

#[test]
fn every_kind_of_error_has_a_name_of_its_own() {
    let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_error_as_json_is_one_document_on_stderr() {
    let desk = Desk::new();
    let ran = desk.call(["--json", "env", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
    let answer: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(
        answer,
        json!({ "schema_version": 1, "error": {
            "kind": "no-such-sandbox", "exit_code": 7, "message": "there is no sandbox nowhere in blog", "causes": [],
            "hints": ["`sandbox up nowhere` makes it; `sandbox ls` lists those there are"],
        }})
    );
}

#[test]
fn every_command_that_reports_says_its_errors_as_json_too() {
    let desk = Desk::new();
    for verb in ["up", "show", "env", "shell", "logs", "stop", "start", "down", "rm", "config"] {
        let ran = desk.call([verb, "../x", "--json"]).gets_refused(Kind::TaskName);
        let answer: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(answer["error"]["kind"], "task-name");
        assert_eq!(answer["error"]["exit_code"], 3);
    }
}

#[test]
fn wrong_usage_is_said_as_json_too() {
    let desk = Desk::new();
    for args in [&["--json", "up", "--bogus"][..], &["upp", "--json"], &["up", "a", "b", "--json"]] {
        let ran = desk.call(args).gets_refused(Kind::Usage);
        let answer: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(answer["error"]["kind"], "usage", "{answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty(), "{answer}");
    }
}

#[test]
fn a_flag_behind_the_two_dashes_is_the_commands_own() {
    let desk = Desk::new();
    let ran = desk.run(["exec", "--bogus", "fix", "--", "true", "--json"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("error: unexpected argument '--bogus'"), "{}", ran.stderr);
}

#[test]
fn the_list_of_kinds_is_complete() {
    let source = include_str!("../../src/error.rs");
    let (_, variants) = source.split_once("pub enum Kind {").unwrap();
    let (variants, _) = variants.split_once("\n}").unwrap();
    let written: Vec<&str> = variants.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
    assert_eq!(written, Kind::ALL.map(|kind| format!("{kind:?}")));
}
