//! What cannot be done, on a real engine: one clear error, its exit code, and nothing half-made.

use std::net::TcpListener;
use std::process::Command;

use crate::alone::namespace;
use crate::yard::{PROGRAM, Yard, docker, eventually, finish};

/// Something that is not ours, by kind and name; gone with the scenario.
struct Foreign(&'static str, String);

impl Drop for Foreign {
    fn drop(&mut self) {
        // The images' nameless volumes go with a container.
        let options = if self.0 == "container" { &["--force", "--volumes"][..] } else { &["--force"] };
        let _ = Command::new("docker").args([self.0, "rm"]).args(options).arg(&self.1).output();
    }
}

/// What a task's Compose project is called.
fn project(yard: &Yard, task: &str) -> String {
    let name = yard.repo.file_name().unwrap().to_str().unwrap();
    format!("{name}-{task}").replace('-', "_")
}

/// An image that is here.
fn image(yard: &Yard) -> String {
    let images = yard.sandbox(&["images", "ls", "--json"]).ok().json();
    let here = images["images"].as_array().unwrap().iter().find(|it| it["present"] == true);
    here.expect("`sandbox images build` brings the images").get("image").unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_compose_project_of_that_name_that_is_not_ours_is_left_alone() {
    let yard = Yard::new("foreign-project");
    let project = project(&yard, "a");
    let label = format!("com.docker.compose.project={project}");
    let name = format!("{project}-web-1");
    let id = docker(&["create", "--name", &name, "--label", &label, &image(&yard)]);
    let _foreign = Foreign("container", name);
    yard.sandbox(&["up", "a"]).ends_with(9).says(&[&project]);
    yard.assert_no_trace("a");
    yard.sandbox(&["rm", "a"]).ends_with(7);
    assert_eq!(docker(&["container", "ls", "-aq", "--no-trunc", &format!("--filter=label={label}")]), id);
}

#[test]
fn a_volume_of_that_name_that_is_not_ours_is_left_alone() {
    let yard = Yard::new("foreign-volume");
    let name = format!("{}_postgres-data", project(&yard, "a"));
    docker(&["volume", "create", &name]);
    let _foreign = Foreign("volume", name.clone());
    yard.sandbox(&["up", "a"]).ends_with(9).says(&[&name]);
    yard.assert_no_trace("a");
    assert_eq!(docker(&["volume", "ls", "-q", &format!("--filter=name={name}")]), name);
}

#[test]
fn a_container_of_that_name_that_is_not_ours_is_left_alone() {
    let yard = Yard::new("foreign-container");
    let name = format!("{}-redis-1", project(&yard, "a"));
    let id = docker(&["create", "--name", &name, &image(&yard)]);
    let _foreign = Foreign("container", name.clone());
    yard.sandbox(&["up", "a"]).ends_with(9).says(&[&name]);
    yard.assert_no_trace("a");
    assert_eq!(docker(&["container", "inspect", "--format", "{{.Id}}", &name]), id);
}

#[test]
fn a_service_that_exits_at_once_is_shown_with_its_last_lines() {
    let yard = Yard::new("exits");
    yard.set("variables: {POSTGRES_SHARED_BUFFERS: garbage}\n");
    let ran = yard.sandbox(&["up", "a"]).ends_with(13);
    ran.says(&["postgres", "invalid value for parameter \"shared_buffers\": \"garbage\""]);
    yard.assert_no_trace("a");
}

/// Intent: what was made once and worked in is not taken back because of a slip in the settings.
#[test]
fn a_sandbox_that_is_established_survives_a_setting_that_breaks_it() {
    let yard = Yard::new("breaks");
    yard.up("a");
    yard.leave_a_note("a");
    yard.set("variables: {POSTGRES_SHARED_BUFFERS: garbage}\n");
    yard.sandbox(&["up", "a"]).ends_with(13).says(&["garbage"]);
    yard.set("");
    yard.up("a");
    yard.assert_whole("a");
    yard.assert_note_is_kept("a");
}

#[test]
fn an_image_that_is_to_be_had_nowhere_is_named() {
    let yard = Yard::new("no-image");
    yard.set("variables: {POSTGRES_IMAGE: 'nosuch.invalid/image:1'}\n");
    yard.sandbox(&["up", "a"]).ends_with(12).says(&["nosuch.invalid/image:1", "docker load"]);
    yard.assert_no_trace("a");
}

/// The slot that a plan proposes.
fn proposed(yard: &Yard, task: &str) -> u16 {
    let plan = yard.plan(task);
    let after = plan.split_once("claim slot ").unwrap().1;
    after.split_once(' ').unwrap().0.parse().unwrap()
}

#[test]
fn a_port_that_someone_listens_on_sends_a_new_sandbox_to_another_slot() {
    let yard = Yard::new("taken");
    let slot = proposed(&yard, "a");
    for (number, address) in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"].into_iter().enumerate() {
        let offset = u16::try_from(number).unwrap();
        let _held = TcpListener::bind(format!("{address}:{}", yard.lane.base() + offset + slot)).unwrap();
        assert_ne!(proposed(&yard, "a"), slot, "{address}");
    }
    assert_eq!(proposed(&yard, "a"), slot, "all are free again");
}

#[test]
fn a_port_that_is_taken_after_the_claim_sends_a_new_sandbox_to_another_slot() {
    let yard = Yard::new("race");
    let slot = proposed(&yard, "a");
    let up = yard.begin(&["up", "a"]);
    eventually("the numbers are claimed", || (!yard.claimed().is_empty()).then_some(()));
    // Between the claim and the start of the first container a network is made, which takes longer than this.
    let held = TcpListener::bind(("127.0.0.1", yard.lane.base() + 3 + slot)).expect("we are faster than the engine");
    up.output().ok();
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    assert_ne!(yard.env("a")["REDIS_PORT"], held.local_addr().unwrap().port().to_string());
    assert_eq!(yard.claimed().len(), 1);
    assert_eq!(yard.redis("a", "PING"), "PONG");
}

#[test]
fn a_port_that_is_taken_while_a_sandbox_rests_is_named_with_its_holder_and_the_way_out() {
    let yard = Yard::new("holder");
    yard.up("a");
    yard.leave_a_note("a");
    let (port, claims) = (yard.env("a")["POSTGRES_PORT"].clone(), yard.claimed());
    yard.sandbox(&["stop", "a"]).ok();
    let held = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let us = format!("(pid {})", std::process::id());
    yard.sandbox(&["start", "a"]).ends_with(14).says(&[&port, &us, "--renumber"]);
    assert_eq!(yard.claimed(), claims, "the slot stays");
    yard.sandbox(&["up", "--renumber", "a"]).ok();
    yard.assert_whole("a");
    yard.assert_note_is_kept("a");
    assert_ne!(yard.env("a")["POSTGRES_PORT"], port);
    drop(held);
    yard.assert_as_desired("a");
}

/// Intent: nobody publishes the application's port, so nobody but us looks who has it.
#[test]
fn the_applications_port_may_be_held_by_the_application_and_by_nobody_else() {
    let yard = Yard::new("app-port");
    yard.up("a");
    let port: u16 = yard.env("a")["APP_PORT"].parse().unwrap();
    let held = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let us = format!("(pid {})", std::process::id());
    yard.sandbox(&["up", "a"]).ends_with(14).says(&["APP_PORT", &port.to_string(), &us, "sandbox up a --renumber"]);
    drop(held);
    let mut app = yard.begin(&["exec", "a", "--", "perl", "-MIO::Socket::INET", "-e", LISTEN]);
    eventually("the application listens", || TcpListener::bind(("127.0.0.1", port)).is_err().then_some(()));
    yard.assert_as_desired("a");
    yard.up("a");
    app.signal(rustix::process::Signal::KILL);
    app.wait();
}

/// An application that does nothing but hold its port. Perl is on every Debian system.
const LISTEN: &str =
    "my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1:$ENV{APP_PORT}\") or die; $s->accept";

#[test]
fn a_full_disk_while_the_env_file_is_written_leaves_nothing_behind() {
    let yard = Yard::new("full");
    let worktrees = yard.directory.join("full");
    std::fs::create_dir(&worktrees).unwrap();
    // Two pages: room for the one file of the repository and git's own, and for none of ours. Gone with its namespace.
    let script = format!("mount -t tmpfs -o size=8k none '{}' && exec \"$@\"", worktrees.display());
    let mut command = Command::new("unshare");
    yard.surround(&mut command).args(namespace("--mount")).args(["sh", "-c", &script, "sh", PROGRAM, "up", "a"]);
    command.env("SANDBOX_WORKTREES", &worktrees).current_dir(&yard.repo);
    finish(command).ends_with(16).says(&["No space left on device"]);
    yard.assert_no_trace("a");
    assert!(yard.claimed().is_empty());
}

/// Intent: in a container without the host's network the engine's socket may be there, and its ports are not.
#[test]
fn an_engine_whose_loopback_is_not_ours_is_refused() {
    let yard = Yard::new("netns");
    let mut command = Command::new("unshare");
    let script = ["sh", "-c", "ip link set lo up && exec \"$@\"", "sh", PROGRAM, "up", "a"];
    yard.surround(&mut command).args(namespace("--net")).args(script).current_dir(&yard.repo);
    finish(command).ends_with(11).says(&["a loopback that is not ours"]);
    yard.assert_no_trace("a");
    assert!(!yard.claims().exists());
}
