//! Two tasks of one Rails application, at work at the same time.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::yard::{KINDS, Running, Yard, compose, docker, eventually, finish, inspect};

const MIGRATION: &str = "\
class AddSubtitleToPosts < ActiveRecord::Migration[6.1]
  def change
    add_column :posts, :subtitle, :string
  end
end
";

/// A program of the application, beside the scenario.
fn serve(yard: &Yard, task: &str, words: &[&str]) -> Running {
    let mut command = yard.command(&[&["exec", task, "--"], words].concat());
    let log = fs::File::create(yard.directory.join(format!("{}-{}.log", task.replace('/', "-"), words[2]))).unwrap();
    Running(command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap())
}

fn curl(yard: &Yard, words: &[&str]) -> Option<Value> {
    let mut command = Command::new("curl");
    yard.surround(&mut command).args(["--silent", "--fail", "--noproxy", "*", "--max-time", "20"]).args(words);
    serde_json::from_str(&finish(command).stdout).ok()
}

fn url(yard: &Yard, task: &str, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", yard.env(task)["APP_PORT"])
}

fn columns(yard: &Yard, task: &str) -> String {
    let query = "SELECT string_agg(column_name, ' ') FROM information_schema.columns WHERE table_name = 'posts'";
    yard.sql(task, query)
}

/// Intent: what the program is for. Each task has its database, its queue, its server; one goes, the other stays.
#[test]
fn two_tasks_of_one_rails_application_do_not_see_each_other() {
    let yard = Yard::rails("two-tasks");
    for task in ["fix-login", "feature/subtitle"] {
        yard.up(task);
        yard.sandbox(&["exec", task, "--", "bin/rails", "db:prepare"]).ok();
    }
    one_adds_a_column_that_the_other_does_not_have(&yard);
    both_answer_on_their_own_port(&yard);
    a_job_queued_in_one_is_not_run_by_the_other(&yard);
    compose_lists_the_services(&yard);
    removing_one_leaves_the_other(&yard);
}

fn one_adds_a_column_that_the_other_does_not_have(yard: &Yard) {
    let migrations = yard.worktree("feature/subtitle").join("db/migrate");
    fs::write(migrations.join("20240203040506_add_subtitle_to_posts.rb"), MIGRATION).unwrap();
    yard.sandbox(&["exec", "feature/subtitle", "--", "bin/rails", "db:migrate"]).ok();
    assert!(columns(yard, "feature/subtitle").contains("subtitle"));
    let others = columns(yard, "fix-login");
    assert!(others.contains("title") && !others.contains("subtitle"), "{others}");
}

fn both_answer_on_their_own_port(yard: &Yard) {
    let tasks = ["fix-login", "feature/subtitle"];
    let _servers = tasks.map(|task| serve(yard, task, &["bundle", "exec", "puma"]));
    for task in tasks {
        let status = eventually("the server answers", || curl(yard, &[&url(yard, task, "/up")]));
        assert_eq!(status["status"], "ok");
        assert_eq!(status["database"], *yard.env(task)["DB_NAME"]);
    }
    // Both at once, not one after the other; and a server that runs is no port that is taken.
    for task in tasks {
        assert!(curl(yard, &[&url(yard, task, "/up")]).unwrap()["hits"].as_u64() >= Some(2));
        yard.assert_as_desired(task);
    }
    let post = r#"{"post": {"title": "Queued", "body": "three short words"}}"#;
    let json = "Content-Type: application/json";
    let url = url(yard, "fix-login", "/posts");
    let saved = curl(yard, &["-H", json, "-H", "Accept: application/json", "--data", post, &url]).unwrap();
    assert_eq!(saved["title"], "Queued");
}

fn a_job_queued_in_one_is_not_run_by_the_other(yard: &Yard) {
    assert_eq!(yard.redis("fix-login", "LLEN queue:default"), "1");
    let sidekiq = ["bundle", "exec", "sidekiq"];
    let _others = serve(yard, "feature/subtitle", &sidekiq);
    let runs = |task: &str| (yard.redis(task, "SCARD processes") == "1").then_some(());
    eventually("the other's Sidekiq runs", || runs("feature/subtitle"));
    assert_eq!(yard.redis("fix-login", "LLEN queue:default"), "1", "the other took the job");
    let _own = serve(yard, "fix-login", &sidekiq);
    eventually("the job is done", || (yard.sql("fix-login", "SELECT word_count FROM posts") == "3").then_some(()));
    assert_eq!(yard.redis("fix-login", "LLEN queue:default"), "0");
    // None, or a zero that Sidekiq has written meanwhile.
    assert!(matches!(yard.redis("feature/subtitle", "GET stat:processed").as_str(), "" | "0"));
}

fn compose_lists_the_services(yard: &Yard) {
    for task in ["fix-login", "feature/subtitle"] {
        let mut command = Command::new(compose());
        let project = &yard.env(task)["COMPOSE_PROJECT_NAME"];
        yard.surround(&mut command).args(["-p", project, "ps", "--services"]);
        let listed = finish(command).ok().stdout;
        let mut services: Vec<&str> = listed.lines().collect();
        services.sort_unstable();
        assert_eq!(services, ["postgres", "redis"]);
    }
}

fn removing_one_leaves_the_other(yard: &Yard) {
    let before = yard.view("fix-login");
    fs::remove_file(yard.worktree("feature/subtitle").join("db/migrate/20240203040506_add_subtitle_to_posts.rb"))
        .unwrap();
    yard.git_in(&yard.worktree("feature/subtitle"), &["checkout", "-q", "--", "."]);
    yard.sandbox(&["rm", "feature/subtitle"]).ok();
    yard.assert_no_trace("feature/subtitle");
    let mut after = yard.view("fix-login");
    for (service, was) in
        after["services"].as_array_mut().unwrap().iter_mut().zip(before["services"].as_array().unwrap())
    {
        // `Up 9 seconds` goes on counting, and after a while the engine looks at the health.
        for changing in ["status", "health"] {
            service[changing] = was[changing].clone();
        }
    }
    assert_eq!(after, before);
    yard.assert_as_desired("fix-login");
    assert_eq!(yard.sql("fix-login", "SELECT title FROM posts"), "Queued");
    yard.sandbox(&["rm", "fix-login"]).ok();
    yard.assert_no_trace("fix-login");
    assert_eq!(yard.claimed(), Vec::<Value>::new());
}

/// Intent: section 7 of the design, points 4 and 6, as the engine and the kernel see them.
#[test]
fn ports_are_on_the_loopback_and_no_argument_holds_the_password() {
    let yard = Yard::new("closed");
    yard.up("a");
    let password = yard.env("a")["PGPASSWORD"].clone();
    let containers = inspect("container", &yard.has("container", "a"));
    assert_eq!(containers.len(), 2);
    for container in &containers {
        for (port, bindings) in container["NetworkSettings"]["Ports"].as_object().unwrap() {
            for binding in bindings.as_array().into_iter().flatten() {
                assert_eq!(binding["HostIp"], "127.0.0.1", "{port}");
            }
        }
        let arguments =
            [&container["Path"], &container["Args"], &container["Config"]["Cmd"], &container["Config"]["Entrypoint"]];
        assert!(arguments.iter().all(|it| !it.to_string().contains(&password)), "{arguments:?}");
        let labels = container["Config"]["Labels"].to_string();
        assert!(!labels.contains(&password), "{labels}");
    }
    let mut ps = Command::new("ps");
    yard.surround(&mut ps).args(["axww", "-o", "args"]);
    let processes = finish(ps).ok().stdout;
    assert!(processes.contains("redis-server"), "the processes in containers are the host's too:\n{processes}");
    assert!(!processes.contains(&password));
    let ports = docker(&["ps", "--filter", &format!("label={}", yard.labels(None)[0]), "--format", "{{.Ports}}"]);
    assert!(ports.lines().count() == 2 && ports.lines().all(|line| line.starts_with("127.0.0.1:")), "{ports}");
}

/// Intent: whoever looks with other tools finds whose everything is; the design names the labels.
#[test]
fn everything_carries_our_labels_and_those_of_compose() {
    let yard = Yard::new("labels");
    yard.up("a");
    let view = yard.view("a");
    let project = view["project"].as_str().unwrap().to_owned();
    for kind in KINDS {
        for thing in inspect(kind, &yard.has(kind, "a")) {
            let labels = if kind == "container" { &thing["Config"]["Labels"] } else { &thing["Labels"] };
            // What a clone writes into may become a layer, and is nobody's then.
            if labels["sandbox.upper.task"] == "a" {
                assert_eq!(
                    (&labels["sandbox.task"], &labels["com.docker.compose.project"]),
                    (&Value::Null, &Value::Null)
                );
                continue;
            }
            assert_eq!(labels["sandbox.task"], "a");
            assert_eq!(labels["sandbox.worktree"], *yard.worktree("a").to_str().unwrap());
            assert_eq!(labels["sandbox.created"], view["created"]);
            assert_eq!(labels["com.docker.compose.project"], *project, "{kind}");
            if kind == "container" {
                assert_eq!(labels["sandbox.service"], labels["com.docker.compose.service"]);
                assert_eq!(labels["com.docker.compose.container-number"], "1");
                assert_eq!(labels["com.docker.compose.oneoff"], "False");
            }
        }
    }
}
