//! Engines that are not there, not ours or not willing: every command that needs one says so and leaves everything alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn an_engine_that_is_not_there_is_named_with_the_command_that_starts_it() {
    let desk = Desk::new();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Engine);
    insta::assert_snapshot!(ran.stderr, @"
    error: there is no Docker Engine at [DESK]/run/docker.sock
      because: No such file or directory (os error 2)
      hint: start it: sudo systemctl start docker; or install it: sudo apt-get install docker.io
    ");
}

#[test]
fn every_command_that_needs_an_engine_says_that_there_is_none() {
    let desk = Desk::new();
    desk.made("fix");
    for args in [
        &["up", "fix"][..],
        &["up", "--dry-run", "fix"],
        &["exec", "fix", "--service", "postgres", "--", "true"],
        &["logs", "fix"],
        &["stop", "fix"],
        &["start", "fix"],
        &["down", "fix"],
        &["down", "-v", "fix"],
        &["reset", "fix"],
        &["rm", "fix"],
        &["rm", "--dry-run", "fix"],
        &["config", "fix"],
        &["images", "ls"],
        &["images", "build"],
    ] {
        let ran = desk.call(args).gets_refused(Kind::Engine);
        assert!(ran.stderr.contains("there is no Docker Engine at"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn an_engine_that_does_not_run_is_told_from_one_that_is_not_there() {
    let desk = Desk::new();
    drop(UnixListener::bind(desk.socket()).unwrap());
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Engine);
    insta::assert_snapshot!(ran.stderr, @"
    error: Docker Engine at [DESK]/run/docker.sock does not run
      because: Connection refused (os error 111)
      hint: start it: sudo systemctl start docker
    ");
}

#[test]
fn a_socket_that_this_user_may_not_use_is_named_with_the_group_to_join() {
    let desk = Desk::new().of_nobody();
    let _listener = UnixListener::bind(desk.socket()).unwrap();
    fs::set_permissions(desk.socket(), fs::Permissions::from_mode(0o000)).unwrap();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Engine);
    insta::assert_snapshot!(ran.stderr, @"
    error: this user may not use Docker Engine at [DESK]/run/docker.sock
      because: Permission denied (os error 13)
      hint: join its group: sudo usermod -aG docker $USER, then log in anew
    ");
}

#[test]
fn an_engine_that_never_answers_is_given_up() {
    let desk = Desk::new();
    let engine = desk.engine().hanging();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Engine);
    insta::assert_snapshot!(ran.stderr, @"
    error: Docker Engine at [DESK]/run/docker.sock does not answer
      because: timed out
      hint: see what it is doing: journalctl -u docker
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn an_engine_that_is_too_old_is_refused_with_the_version_that_is_wanted() {
    let desk = Desk::new();
    let engine = desk.engine().speaking("1.40");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::EngineTooOld);
    insta::assert_snapshot!(ran.stderr, @"
    error: the engine speaks API 1.40; 1.41 is needed, Docker Engine 20.10 or newer
      hint: upgrade Docker Engine: https://docs.docker.com/engine/install
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn an_engine_whose_bridges_are_elsewhere_gets_refused() {
    let desk = Desk::new();
    let elsewhere = serde_json::json!([{
        "Id": "1", "Name": "bridge", "Driver": "bridge",
        "IPAM": { "Config": [{ "Subnet": "240.1.2.0/24", "Gateway": "240.1.2.1" }] },
    }]);
    let engine = desk.engine().with_networks(elsewhere);
    for args in [&["up", "fix"][..], &["up", "--dry-run", "fix"]] {
        let ran = desk.call(args).gets_refused(Kind::RemoteEngine);
        assert!(ran.stderr.contains("(host \"fakehost\") publishes ports on a loopback that is not ours"));
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn an_address_that_is_none_is_refused_as_it_was_written() {
    let desk = Desk::new();
    for address in ["nonsense", "unix://", "unix://relative", "/var/run/docker.sock", "ftp://x"] {
        let ran = desk.call(["up", "fix"]).env("DOCKER_HOST", address).gets_refused(Kind::Engine);
        let what = format!("error: DOCKER_HOST is no address of an engine: {address:?}");
        assert!(ran.stderr.contains(&what), "{}", ran.stderr);
    }
}

#[test]
fn an_engine_on_another_host_is_refused_by_name() {
    let desk = Desk::new();
    for address in ["tcp://10.0.0.1:2375", "ssh://me@host", "http://localhost:2375", "npipe:////./pipe/docker"] {
        let ran = desk.call(["up", "fix"]).env("DOCKER_HOST", address).gets_refused(Kind::RemoteEngine);
        assert!(ran.stderr.contains(address) && ran.stderr.contains("not on this host"), "{}", ran.stderr);
    }
}

#[test]
fn a_context_that_is_unknown_is_refused_by_name() {
    let desk = Desk::new();
    let ran =
        desk.call(["up", "fix"]).without("DOCKER_HOST").env("DOCKER_CONTEXT", "nowhere").gets_refused(Kind::Engine);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: there is no Docker context called "nowhere"
      hint: list them: docker context ls
      hint: use the default one: docker context use default, and unset DOCKER_CONTEXT
    "#);
    desk.write("home/.docker/config.json", "{\"currentContext\": \"elsewhere\"}");
    let ran = desk.call(["up", "fix"]).without("DOCKER_HOST").gets_refused(Kind::Engine);
    assert!(ran.stderr.contains("there is no Docker context called \"elsewhere\""), "{}", ran.stderr);
}

#[test]
fn a_damaged_client_configuration_is_named() {
    let desk = Desk::new();
    desk.write("home/.docker/config.json", "{");
    let ran = desk.call(["up", "fix"]).without("DOCKER_HOST").gets_refused(Kind::Engine);
    assert!(ran.stderr.contains("/home/.docker/config.json"), "{}", ran.stderr);
}
