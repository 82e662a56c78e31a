//! What the engine says, through Docker's own client: an eye other than the program's.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The kinds of resource that a stack is made of.
pub(crate) const KINDS: [&str; 3] = ["container", "network", "volume"];

/// Runs `docker` and answers with what it says on stdout.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {stderr}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(arguments: &[&str]) -> std::process::Output {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output();
    output.expect("these scenarios need Docker's command-line client: install docker.io or docker-cli")
}

/// Ends the scenario where there is no engine: what was not looked at has not passed.
pub(crate) fn require() {
    let output = run(&["version", "--format", "{{.Server.Version}}"]);
    assert!(
        output.status.success(),
        "these scenarios need a Docker Engine, and none answers: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The ids (of volumes: the names) of what carries all of the labels.
pub(crate) fn labelled(kind: &str, labels: &[String]) -> Vec<String> {
    let mut arguments = vec![kind.to_owned(), "ls".into(), "--quiet".into()];
    match kind {
        "container" => arguments.extend(["--all".into(), "--no-trunc".into()]),
        "network" => arguments.push("--no-trunc".into()),
        _ => {}
    }
    arguments.extend(labels.iter().map(|label| format!("--filter=label={label}")));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    docker(&arguments).lines().map(str::to_owned).collect()
}

/// Everything the engine knows of some resources of one kind.
pub(crate) fn inspect(kind: &str, ids: &[String]) -> Vec<Value> {
    if ids.is_empty() {
        return Vec::new();
    }
    let mut arguments = vec![kind, "inspect"];
    arguments.extend(ids.iter().map(String::as_str));
    serde_json::from_str(&docker(&arguments)).unwrap()
}

/// Removes all that carries a label, and waits until it is gone. Never panics: it runs while a scenario is failing.
pub(crate) fn sweep(label: &str) {
    let label = format!("--filter=label={label}");
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let mut left = false;
        for kind in KINDS {
            let mut list = vec![kind, "ls", "--quiet", &label];
            list.extend((kind == "container").then_some("--all"));
            let found = run(&list);
            let ids = String::from_utf8_lossy(&found.stdout).into_owned();
            let ids: Vec<&str> = ids.lines().collect();
            if !ids.is_empty() {
                left = true;
                let force: &[&str] = match kind {
                    "network" => &[],
                    "container" => &["--force", "--volumes"],
                    _ => &["--force"],
                };
                run(&[&[kind, "rm"], force, &ids].concat());
            }
        }
        if !left || Instant::now() > deadline {
            return;
        }
    }
}
