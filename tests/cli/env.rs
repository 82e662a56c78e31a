//! `sandbox env`, and the env file: one text for shells and dotenv libraries.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn the_environment_is_printed_without_an_engine() {
    let desk = Desk::new();
    let made = desk.made("fix-login");
    let text = desk.run(["env", "fix-login"]).succeeds();
    insta::assert_snapshot!(text, @"
    WORKTREE_NAME=fix_login
    COMPOSE_PROJECT_NAME=blog_fix_login
    COMPOSE_FILE=[DESK]/src/blog-wt/fix-login/.compose.worktree.yaml
    DB_NAME=blog_fix_login_development
    TEST_DB_NAME=blog_fix_login_test
    DATABASE_URL=postgresql://postgres:s3cret@127.0.0.1:15101/blog_fix_login_development
    TEST_DATABASE_URL=postgresql://postgres:s3cret@127.0.0.1:15101/blog_fix_login_test
    PGHOST=127.0.0.1
    PGPORT=15101
    PGUSER=postgres
    PGPASSWORD=s3cret
    REDIS_URL=redis://default:s3cret@127.0.0.1:16101/0
    REDIS_DB=0
    APP_URL=http://fix-login.localhost:3101
    APP_PORT=3101
    POSTGRES_PORT=15101
    REDIS_PORT=16101
    VITE_PORT=4101
    ");
    assert_eq!(std::fs::read_to_string(made.env_file).unwrap(), text);
}

#[test]
fn the_form_for_shells_exports_each_variable() {
    let desk = Desk::new();
    desk.made("fix-login");
    let dotenv = desk.run(["env", "fix-login", "--format", "dotenv"]).succeeds();
    let shell = desk.run(["env", "fix-login", "--format", "shell"]).succeeds();
    let exported: String = dotenv.lines().flat_map(|line| ["export ", line, "\n"]).collect();
    assert_eq!(shell, exported);
}

#[test]
fn the_form_for_machines_is_one_object_and_in_the_envelope_of_json_a_member() {
    let desk = Desk::new();
    desk.made("fix-login");
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&desk.run(args).succeeds()).unwrap() };
    let plain = json(&["env", "fix-login", "--format", "json"]);
    assert_eq!(plain["DB_NAME"], "blog_fix_login_development");
    assert_eq!(plain["POSTGRES_PORT"], "15101");
    let wrapped = json(&["env", "fix-login", "--json"]);
    assert_eq!(wrapped["schema_version"], 1);
    assert_eq!(wrapped["env"], plain);
}

#[test]
fn every_shell_that_is_here_reads_the_env_file_alike() {
    let desk = Desk::new();
    let made = desk.made("fix-login");
    // A path that a shell would take apart if it were not quoted.
    let odd = desk.root().join("src/odd $HOME `id` \"#&;");
    std::fs::create_dir(&odd).unwrap();
    let variables = sandbox::env::variables(&made.record, &odd.join("compose.yaml"));
    let file = desk.write(odd.join(".env"), &sandbox::env::dotenv(&variables).unwrap());
    let shells: Vec<&str> = ["sh", "bash", "dash", "zsh"].into_iter().filter(|shell| is_here(shell)).collect();
    assert!(shells.len() >= 2, "only {shells:?} of the shells are here: install bash and dash");
    for shell in shells {
        let seen = sourced(shell, &file);
        for (name, value) in &variables {
            assert_eq!(seen.get(name), Some(value), "{shell}: {name}");
        }
    }
}

fn is_here(shell: &str) -> bool {
    ["/bin", "/usr/bin", "/usr/local/bin"].iter().any(|place| Path::new(place).join(shell).exists())
}

fn sourced(shell: &str, file: &Path) -> BTreeMap<String, String> {
    let output = Command::new(shell)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .args(["-c", "set -eu; set -a; . \"$1\"; set +a; env -0", shell])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_sandbox_that_is_not_there_is_refused_with_the_command_that_makes_it() {
    let desk = Desk::new();
    let ran = desk.call(["env", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
    insta::assert_snapshot!(ran.stderr, @"
    error: there is no sandbox nowhere in blog
      hint: `sandbox up nowhere` makes it; `sandbox ls` lists those there are
    ");
}

#[test]
fn a_worktree_that_sandbox_did_not_make_is_no_sandbox() {
    let desk = Desk::new();
    desk.git(&desk.repo(), &["worktree", "add", "--quiet", "-b", "mine", "../mine"]);
    desk.call(["env", "mine"]).gets_refused(Kind::NoSuchSandbox);
    desk.call(["env"]).within(desk.root().join("src/mine")).gets_refused(Kind::Usage);
}

#[test]
fn a_damaged_record_is_named() {
    let desk = Desk::new();
    desk.made("fix");
    desk.write("src/blog/.git/worktrees/fix/sandbox.json", "{\"schema_version\":1");
    let ran = desk.call(["env", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: the sandbox's record [DESK]/src/blog/.git/worktrees/fix/sandbox.json is damaged
      because: EOF while parsing an object at line 1 column 19
      hint: if the worktree holds nothing of worth: `git worktree remove` it, then `sandbox up` again
    ");
}

#[test]
fn a_form_that_we_do_not_know_is_wrong_usage() {
    let desk = Desk::new();
    let ran = desk.run(["env", "fix", "--format", "toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("[possible values: dotenv, shell, json]"), "{}", ran.stderr);
}

#[test]
fn a_record_of_a_newer_sandbox_is_told_from_a_damaged_one() {
    let desk = Desk::new();
    desk.made("fix");
    desk.write("src/blog/.git/worktrees/fix/sandbox.json", "{\"schema_version\": 9, \"shape\": \"another\"}");
    let ran = desk.call(["env", "fix"]).gets_refused(Kind::Files);
    assert!(ran.stderr.contains("sandbox.json was written by a newer sandbox"), "{}", ran.stderr);
}

#[test]
fn a_damaged_record_stops_nobody_else() {
    let desk = Desk::new();
    desk.made_at("fix", 101);
    desk.made_at("other", 102);
    desk.write("src/blog/.git/worktrees/fix/sandbox.json", "{");
    assert!(desk.run(["env", "other"]).succeeds().contains("COMPOSE_PROJECT_NAME=blog_other"));
    let ran = desk.run(["ls", "--quiet"]);
    assert!(ran.stderr.contains("sandbox.json is damaged"), "{}", ran.stderr);
    assert_eq!(ran.succeeds(), "fix\nother\n", "of fix the claim is left");
}
