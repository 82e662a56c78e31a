//! Docker Compose's own client on a stack of ours.

use std::process::{Command, Stdio};

use crate::yard::{Yard, compose, finish, finish_with, inspect};

fn ports(yard: &Yard, task: &str) -> Vec<String> {
    let containers = inspect("container", &yard.has("container", task));
    let mut bindings: Vec<String> = containers
        .iter()
        .flat_map(|container| container["HostConfig"]["PortBindings"].as_object().unwrap().values())
        .flat_map(|bindings| bindings.as_array().unwrap())
        .map(|binding| format!("{}:{}", binding["HostIp"].as_str().unwrap(), binding["HostPort"].as_str().unwrap()))
        .collect();
    bindings.sort();
    bindings
}

/// Intent: in a shell that sourced the env file `docker compose up -d` applies our file, not the repository's own.
#[test]
fn compose_up_in_a_sourced_shell_keeps_the_ports_on_the_loopback_and_the_data() {
    let yard = Yard::new("compose-up");
    // What a repository has lying there: its ports are open to everybody, and its volume is another.
    std::fs::write(
        yard.repo.join("compose.yaml"),
        "services: {postgres: {image: 'postgres:17', ports: ['5432:5432'], volumes: ['other:/data']}}\nvolumes: {other: {}}\n",
    )
    .unwrap();
    yard.git(&["add", "."]);
    yard.git(&["commit", "-q", "-m", "Compose"]);
    yard.up("a");
    yard.leave_a_note("a");
    let before = ports(&yard, "a");
    assert_eq!(before.len(), 2);

    yard.sourced("a", &format!("{} up -d", compose().display())).ok();
    assert_eq!(ports(&yard, "a"), before);
    assert!(before.iter().all(|binding| binding.starts_with("127.0.0.1:")), "{before:?}");
    yard.assert_whole("a");

    // Compose may have made the containers anew: they have our labels, and nothing is left to do.
    yard.up("a");
    yard.assert_note_is_kept("a");
    yard.assert_as_desired("a");
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

/// Intent: `docker compose down` is one of the ways in which stacks go away; `up` brings this one back.
#[test]
fn up_converges_after_compose_down() {
    let yard = Yard::new("compose-down");
    yard.up("a");
    yard.leave_a_note("a");
    yard.sourced("a", &format!("{} down", compose().display())).ok();
    assert_eq!(yard.has("container", "a"), [""; 0]);
    yard.up("a");
    yard.assert_whole("a");
    yard.assert_note_is_kept("a");
    // With its volumes too: nothing that another stands on goes along.
    yard.up("b");
    yard.sourced("a", &format!("{} down -v", compose().display())).ok();
    yard.sandbox(&["stop", "b"]).ok();
    yard.sandbox(&["start", "b"]).ok();
    yard.assert_as_desired("b");
    yard.up("a");
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    yard.sandbox(&["rm", "a", "b"]).ok();
    yard.assert_no_trace("a");
}

/// Intent: `config` prints a file that the real client takes, and reads as we do.
#[test]
fn the_printed_configuration_is_accepted_by_compose() {
    let yard = Yard::new("compose-config");
    yard.up("a");
    let printed = yard.sandbox(&["config", "a"]).ok().stdout;
    let mut command = Command::new(compose());
    yard.surround(&mut command).args(["-f", "-", "config", "--services"]).stdin(Stdio::piped());
    let mut services: Vec<String> = finish_with(command, &printed).ok().stdout.lines().map(str::to_owned).collect();
    services.sort();
    assert_eq!(services, ["postgres", "redis"]);

    let mut command = Command::new(compose());
    yard.surround(&mut command).args(["ls", "--format", "json"]);
    let listed = finish(command).ok().json();
    let project = &yard.env("a")["COMPOSE_PROJECT_NAME"];
    let ours = listed.as_array().unwrap().iter().find(|it| it["Name"] == **project).expect("Compose lists the project");
    assert_eq!(ours["Status"], "running(2)");
    assert_eq!(ours["ConfigFiles"], *yard.env("a")["COMPOSE_FILE"]);
}
