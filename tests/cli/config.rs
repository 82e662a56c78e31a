//! `sandbox config [TASK]`

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn outside_of_a_sandbox_the_template_is_printed_with_its_defaults() {
    let desk = Desk::new();
    let text = desk.run(["config"]).succeeds();
    assert!(text.contains("image: \"postgres:17\"") && text.contains("image: \"redis:8\""), "{text}");
    let answer: serde_json::Value = serde_json::from_str(&desk.run(["config", "--json"]).succeeds()).unwrap();
    assert_eq!(answer["schema_version"], 1);
    assert_eq!(answer["project"]["services"]["redis"]["image"], "redis:8");
}

#[test]
fn a_variable_from_the_settings_gets_into_the_template_and_one_from_the_environment_does_not() {
    let desk = Desk::new();
    desk.write("src/blog/.sandbox.yaml", "variables: {REDIS_IMAGE: 'redis:7'}\n");
    let text = desk.call(["config"]).env("POSTGRES_IMAGE", "postgres:1").run().succeeds();
    assert!(text.contains("image: \"redis:7\"") && text.contains("image: \"postgres:17\""), "{text}");
}

#[test]
fn a_sandboxs_file_publishes_on_loopback_alone_and_names_its_project() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.made("fix");
    let text = desk.run(["config", "fix"]).succeeds();
    assert!(text.contains("name: blog_fix\n"), "{text}");
    assert_eq!(text.matches("host_ip: \"127.0.0.1\"").count(), text.matches("published:").count(), "{text}");
    assert!(text.contains("10.231.101.80/28"), "{text}");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_sandbox_that_is_not_there_has_no_file() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.call(["config", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
}
