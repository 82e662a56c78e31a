//! Looking into a sandbox: `exec`, `logs`, `show`, `ls`.

use std::io::{BufRead, BufReader};

use crate::yard::{Yard, finish_with};

#[test]
fn exec_in_a_service_passes_input_output_and_exit_code_through() {
    let yard = Yard::new("exec");
    yard.up("a");
    let words = ["exec", "a", "--service", "redis", "--", "sh", "-c", "cat; echo aside >&2; exit 7"];
    let ran = finish_with(yard.command(&words), "through\n").ends_with(7);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("through\n", "aside\n"));
    let big = "0123456789abcdef".repeat(20_000);
    let ran = finish_with(yard.command(&["exec", "a", "--service", "postgres", "--", "cat"]), &big).ok();
    assert!(ran.stdout == big, "{} of {} bytes came back", ran.stdout.len(), big.len());
    yard.sandbox(&["exec", "a", "--service", "nosuch", "--", "true"]).ends_with(13);
    // The engine says 126 or 127, by its version.
    let code = yard.sandbox(&["exec", "a", "--service", "redis", "--", "/no/such/program"]).code;
    assert!(matches!(code, Some(126 | 127)), "{code:?}");
}

#[test]
fn exec_in_the_worktree_has_its_directory_its_env_and_its_exit_code() {
    let yard = Yard::new("exec-here");
    yard.up("a");
    let script = "pwd; echo $POSTGRES_PORT; cat; exit 3";
    let ran = finish_with(yard.command(&["exec", "a", "--", "sh", "-c", script]), "in\n").ends_with(3);
    let expected = format!("{}\n{}\nin\n", yard.worktree("a").display(), yard.env("a")["POSTGRES_PORT"]);
    assert_eq!(ran.stdout, expected);
    // Inside its worktree the task may be left out.
    let worktree = yard.worktree("a");
    yard.sandbox(&["-C", worktree.to_str().unwrap(), "exec", "--", "test", "-f", ".env.worktree"]).ok();
}

#[test]
fn logs_of_several_services_are_told_apart_and_followed_to_the_end() {
    let yard = Yard::new("logs");
    yard.up("a");
    let ran = yard.sandbox(&["logs", "a"]).ok();
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(all.contains("postgres | ") && all.contains("redis    | "), "{all}");
    assert!(all.lines().all(|line| line.starts_with("postgres | ") || line.starts_with("redis    | ")), "{all}");
    let ran = yard.sandbox(&["logs", "--tail", "2", "a", "redis"]).ok();
    assert_eq!(ran.stdout.lines().count() + ran.stderr.lines().count(), 2);
    assert!(!ran.stdout.contains(" | "), "one service needs no prefix: {ran}");
    yard.sandbox(&["logs", "a", "nosuch"]).ends_with(13);

    let mut follower = yard.begin(&["logs", "--follow", "a", "redis"]);
    let mut lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    yard.sandbox(&["stop", "a"]).ok();
    assert!(follower.wait().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("bye bye")), "{first}\n{}", rest.join("\n"));
}

#[test]
fn show_and_ls_say_in_json_what_there_is() {
    let yard = Yard::new("show");
    yard.up("a");
    yard.up("feature/b");
    yard.sandbox(&["stop", "feature/b"]).ok();
    let listed = yard.sandbox(&["ls", "--json"]).ok().json();
    assert_eq!(listed["schema_version"], 1);
    let states: Vec<_> =
        listed["sandboxes"].as_array().unwrap().iter().map(|it| (it["task"].clone(), it["state"].clone())).collect();
    assert_eq!(states, [("a".into(), "running".into()), ("feature/b".into(), "stopped".into())]);
    let view = yard.view("a");
    let env = yard.env("a");
    assert_eq!(view["project"], *env["COMPOSE_PROJECT_NAME"]);
    assert_eq!(view["ports"]["POSTGRES_PORT"].to_string(), env["POSTGRES_PORT"]);
    assert_eq!(view["services"][0]["ports"][0], format!("127.0.0.1:{}", env["POSTGRES_PORT"]));
    assert_eq!(view["branch"], "a");
    assert_eq!(yard.sandbox(&["ls", "--quiet"]).ok().stdout, "a\nfeature/b\n");
    let table = yard.sandbox(&["ls"]).ok().stdout;
    assert!(table.contains("TASK") && table.contains("feature/b"), "{table}");
    let error: serde_json::Value =
        serde_json::from_str(&yard.sandbox(&["show", "--json", "c"]).ends_with(7).stderr).unwrap();
    assert_eq!(error["error"]["kind"], "no-such-sandbox");
}

#[test]
fn ls_says_what_each_uses_alone_and_together_with_others() {
    let yard = Yard::new("usage");
    yard.up("a");
    yard.up("b");
    let before = yard.sandbox(&["ls", "--usage", "--json"]).ok().json()["sandboxes"].clone();
    yard.sql("a", "CREATE TABLE large AS SELECT repeat('x', 900) FROM generate_series(1, 20000); CHECKPOINT");
    let after = yard.sandbox(&["ls", "--usage", "--json"]).ok().json()["sandboxes"].clone();
    let used = |of: &serde_json::Value, which: usize, what: &str| of[which]["usage"][what].as_u64().unwrap();
    for which in [0, 1] {
        assert!(used(&after, which, "memory_bytes") > 5 << 20, "{after}");
        assert!(used(&after, which, "disk_shared_bytes") > 5 << 20, "{after}");
    }
    assert_eq!(used(&after, 0, "disk_shared_bytes"), used(&after, 1, "disk_shared_bytes"));
    let grown = used(&after, 0, "disk_own_bytes") - used(&before, 0, "disk_own_bytes");
    assert!((15 << 20..80 << 20).contains(&grown), "{grown} bytes more");
    assert!(used(&after, 1, "disk_own_bytes") < used(&after, 0, "disk_own_bytes"));
    let table = yard.sandbox(&["ls", "--usage"]).ok().stdout;
    assert!(table.starts_with("TASK  STATE    CPU"), "{table}");
}
