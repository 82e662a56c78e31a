//! The sentences about the architecture, checked by reading the source. Each names what is absent, and the exceptions that
//! were argued for, file by file; a list that is longer than the truth fails like one that is shorter.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;

use source::{Source, crate_files, files, find, functions, rust, top};

/// Files of more lines than [`LONGEST_FILE`], and why.
const LONG_FILES: &[(&str, &str)] = &[(
    "src/resolve/stack.rs",
    "one table after another from the model of Compose to the nouns of the engine, and their tests",
)];

/// Functions of more lines than [`LONGEST_FUNCTION`], and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[
    ("src/compose/service.rs read", "a table: one line a key of a service"),
    ("src/resolve/stack.rs container", "a table: one line a key of the model, none left out"),
    ("tests/properties/fake.rs perform", "a table: one arm an action"),
];

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 70;

/// Where processes are started, and why there.
const OWN_A_PROCESS: &[&str] = &["src/commands/exec.rs", "src/git/program.rs", "src/images.rs", "src/world/setup.rs"];

/// Hosts that may be named: those of public registries and documents, and those that are nobody's.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "keepachangelog.com",
    "www.apache.org",
    "www.w3.org",
    "10.0.0.1",
    "localhost",
    "h",
    "host",
    "github.com",
    "docs.docker.com",
    "ghcr.io",
    "index.docker.io",
    "registry-1.docker.io",
];

/// Where any of these words stands in the crate outside of tests, the files that pass `but` left out.
fn in_crate(words: &[&str], but: impl Fn(&str) -> bool) -> Vec<String> {
    let sources = crate_files().into_iter().filter(|source| !but(&source.path));
    sources.flat_map(|source| find(&source.path, &source.outside_tests, words)).collect()
}

fn paths(found: &[String]) -> BTreeSet<&str> {
    found.iter().filter_map(|line| line.split(':').next()).collect()
}

#[track_caller]
fn none(found: &[String], sentence: &str) {
    assert!(found.is_empty(), "{sentence}:\n{}", found.join("\n"));
}

#[test]
fn the_docker_client_is_known_in_engine_alone() {
    none(&in_crate(&["bollard"], |path| path.starts_with("src/engine/")), "no bollard outside src/engine");
}

#[test]
fn libgit2_is_known_in_git_alone() {
    none(&in_crate(&["git2"], |path| path.starts_with("src/git/")), "no git2 outside src/git");
}

#[test]
fn processes_are_started_at_the_doors_that_own_one() {
    let words = ["Command::new", "process::Command", "tokio::process", "CommandExt", "fork", "posix_spawn"];
    let found = in_crate(&words, |_| false);
    assert_eq!(paths(&found), OWN_A_PROCESS.iter().copied().collect(), "{}", found.join("\n"));
}

#[test]
fn only_the_report_prints() {
    let words = ["print!", "println!", "eprint!", "eprintln!", "stdout()", "stderr()", "Term::stdout", "Term::stderr"];
    let found = in_crate(&words, |path| path.starts_with("src/report/"));
    // What runs inside a container is lent our streams whole; nothing of ours is said on them.
    assert_eq!(paths(&found), ["src/commands/exec.rs"].into(), "{}", found.join("\n"));
}

#[test]
fn nothing_outside_of_tests_can_panic_on_a_none_or_an_error() {
    let words = [".unwrap()", ".expect(", "panic!", "unreachable!", ".unwrap_err()", ".expect_err("];
    none(&in_crate(&words, |_| false), "no unwrap and no expect outside of tests");
}

#[test]
fn nothing_is_left_to_do_and_no_lint_is_silenced() {
    let words = ["todo!", "unimplemented!", "dbg!", "#[allow", "#![allow", "#[ignore"];
    let everywhere = rust("src").into_iter().chain(rust("tests"));
    let found: Vec<String> = everywhere.flat_map(|source| find(&source.path, &source.code, &words)).collect();
    none(&found, "no todo!, unimplemented!, dbg!, #[allow] or #[ignore]");
}

#[test]
fn no_test_waits_for_time_to_pass() {
    // Docker and a killed program send no word: one place polls for a state, and everything waits through it.
    let found: Vec<String> = rust("tests")
        .iter()
        .filter(|source| source.path != "tests/docker/yard/ran.rs")
        .flat_map(|source| find(&source.path, &source.code, &["sleep(", "sleep_until(", "sleep_ms("]))
        .collect();
    none(&found, "no sleep in tests/: wait on state");
}

#[test]
fn plans_and_the_compose_model_are_pure() {
    let words = [
        "fs::",
        "File::",
        "std::env",
        "env::var",
        "env::vars",
        "env::current_dir",
        "tokio",
        "std::process",
        "Command",
        "TcpListener",
        "TcpStream",
        "UdpSocket",
        "UnixStream",
        "UnixListener",
        "SystemTime",
        "Timestamp::now",
        "Instant::now",
        "Zoned::now",
        "getrandom",
        "rustix",
        "Engine",
        "async",
        "Sink",
    ];
    let pure = |path: &str| ["src/plan/", "src/compose/"].iter().any(|place| path.starts_with(place));
    none(&in_crate(&words, |path| !pure(path)), "src/plan and src/compose neither look at the world nor change it");
}

#[test]
fn there_is_one_seam() {
    let found: Vec<String> = crate_files()
        .iter()
        .flat_map(|source| {
            let traits = source.outside_tests.lines().filter(|line| find("", line, &["trait"]).len() == 1);
            traits.map(|line| format!("{}: {}", source.path, line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(found, ["src/apply.rs: pub trait World: Sync {"]);
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let found: Vec<String> =
        rust("src").into_iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path).collect();
    none(&found, "every file begins with `//!`");
}

#[test]
fn the_map_names_every_room() {
    let lib = Source::of("src/lib.rs", &fs::read_to_string(top().join("src/lib.rs")).unwrap());
    let map: String = lib.text.lines().filter(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n");
    let modules = lib.code.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let found: Vec<String> =
        modules.filter(|name| find("", &map, &[name]).is_empty()).map(|name| format!("src/{name}")).collect();
    none(&found, "the map in lib.rs names every top-level module");
}

#[test]
fn long_files_have_a_reason() {
    let lines = |source: &Source| source.text.lines().count();
    let long = crate_files().into_iter().chain(rust("tests")).filter(|source| lines(source) > LONGEST_FILE);
    let long: Vec<String> = long.map(|source| source.path).collect();
    assert_eq!(long, LONG_FILES.iter().map(|(path, _)| *path).collect::<Vec<_>>());
}

#[test]
fn long_functions_have_a_reason() {
    let mut long = Vec::new();
    for source in rust("src").into_iter().chain(rust("tests")) {
        let its = functions(&source.code).into_iter().filter(|function| function.lines > LONGEST_FUNCTION);
        long.extend(its.map(|function| format!("{}:{} {}", source.path, function.line, function.name)));
    }
    let named = |line: &str| {
        let (place, name) = line.split_once(' ').unwrap();
        format!("{} {name}", place.split(':').next().unwrap())
    };
    let argued: Vec<&str> = LONG_FUNCTIONS.iter().map(|(function, _)| *function).collect();
    assert_eq!(long.iter().map(|line| named(line)).collect::<Vec<_>>(), argued, "{}", long.join("\n"));
}

#[test]
fn templates_are_plain_compose_with_defaults_alone() {
    let mut found = Vec::new();
    for path in files("compose-templates") {
        let text = fs::read_to_string(top().join(&path)).unwrap();
        found.extend(without_default(&text).into_iter().map(|line| format!("{path}:{line}")));
    }
    none(&found, "templates use ${VAR:-default} alone");
}

/// Uses of a variable in another form than `${VAR:-default}`. `$$` is a dollar sign.
fn without_default(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        for use_of in line.replace("$$", "").split('$').skip(1) {
            let name = use_of.strip_prefix('{').and_then(|rest| rest.split_once(":-")).map(|(name, _)| name);
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if !name.is_some_and(|name| !name.is_empty() && name.chars().all(plain)) {
                found.push(format!("{}: ${use_of}", number + 1));
            }
        }
    }
    found
}

#[test]
fn the_repository_names_no_place_where_it_was_written() {
    let mut found = Vec::new();
    for path in files(".").iter().filter(|path| *path != "Cargo.lock") {
        let Ok(text) = fs::read_to_string(top().join(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            found.extend(place(line).map(|what| format!("{path}:{}: {what}", number + 1)));
        }
    }
    none(&found, "no host of a mirror and no path of a workplace");
}

/// A home of somebody's, or a host that is not among [`HOSTS`].
fn place(line: &str) -> Option<String> {
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    for home in homes {
        let of_whom = line.split(home).nth(1).map(|rest| rest.split(['/', '"', ' ']).next().unwrap_or_default());
        if of_whom.is_some_and(|whom| {
            !whom.is_empty() && !whom.starts_with('.') && !["me", "dev", "state", "config", "gitconfig"].contains(&whom)
        }) {
            return Some(format!("{home}{}", of_whom.unwrap_or_default()));
        }
    }
    let hosts = ["http://", "https://"].iter().flat_map(|scheme| line.split(scheme).skip(1));
    let host = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect()
    };
    hosts.map(host).find(|host| {
        let nobodys = ["example.org", "example.com", ".localhost"].iter().any(|it| host.ends_with(it));
        !host.is_empty() && !nobodys && !HOSTS.contains(&host.as_str())
    })
}

#[test]
fn every_dependency_comes_from_the_public_registry() {
    let lock = fs::read_to_string(top().join("Cargo.lock")).unwrap();
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(sources, ["\"registry+https://github.com/rust-lang/crates.io-index\""].into());
}

mod the_checks_themselves {
    use super::*;

    const BAD: &str = r##"//! A file.
use std::{fs, io};
use bollard::Docker; // bollard

trait Seam {}

fn careless<'a>(text: &'a str, c: char) -> &'a str {
    let quote = '"';
    let hidden = "x.unwrap() { println!";
    let raw = r#"bollard " } "#;
    /* todo! */
    println!("{}", fs::read_to_string(text).unwrap());
    let unwrapped = text.unwrap_or("");
    if c == '{' || c == '\'' { todo!() }
    unwrapped
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_test_may() {
        careless("{").unwrap();
    }
}

fn last() { dbg!(1) }
"##;

    fn found(words: &[&str]) -> Vec<String> {
        find("bad.rs", &Source::of("bad.rs", BAD).outside_tests, words)
    }

    #[test]
    fn what_is_forbidden_is_found_where_it_stands() {
        assert_eq!(found(&["bollard"]), ["bad.rs:3: bollard"]);
        assert_eq!(
            found(&["println!", ".unwrap()", "fs::"]),
            ["bad.rs:12: println!", "bad.rs:12: .unwrap()", "bad.rs:12: fs::"]
        );
        assert_eq!(found(&["todo!"]), ["bad.rs:14: todo!"]);
        assert_eq!(found(&["dbg!"]), ["bad.rs:26: dbg!"]);
        assert_eq!(found(&["trait"]), ["bad.rs:5: trait"]);
    }

    #[test]
    fn a_part_of_a_longer_name_is_not_the_name() {
        assert!(find("x", "recompile!(); async_trait; my_dbg!()", &["trait", "dbg!"]).is_empty());
    }

    #[test]
    fn texts_comments_and_tests_are_passed_over_where_they_should_be() {
        assert_eq!(found(&[".unwrap()"]).len(), 1);
        assert_eq!(find("bad.rs", &Source::of("bad.rs", BAD).code, &[".unwrap()"]).len(), 2);
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let code = Source::of("bad.rs", BAD).code;
        let measured: Vec<(String, usize, usize)> =
            functions(&code).into_iter().map(|it| (it.name, it.line, it.lines)).collect();
        assert_eq!(measured, [("careless".into(), 7, 9), ("a_test_may".into(), 21, 3), ("last".into(), 26, 1)]);
    }

    #[test]
    fn a_variable_without_a_default_is_found() {
        let text = "a: ${A:-1}\nb: ${B}\nc: $C\nd: $$D\n# ${E}\nf: ${F-1} ${G:-${H:-2}}\n";
        assert_eq!(without_default(text), ["2: ${B}", "3: $C", "6: ${F-1} "]);
    }

    #[test]
    fn a_home_and_a_host_are_found() {
        assert_eq!(place(concat!("cp /ho", "me/someone/x .")).unwrap(), concat!("/ho", "me/someone"));
        assert_eq!(place(concat!("pull htt", "ps://mirror.corp:5000/x")).unwrap(), "mirror.corp");
        assert_eq!(place("see https://github.com/x and http://localhost:3000"), None);
    }
}
