//! What a wrong file is told.

use insta::assert_snapshot;

use super::refusal;

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_key_that_was_meant() {
    assert_snapshot!(refusal("services:\n  web:\n    iamge: nginx\n"), @"compose.yaml:3:5: services.web.iamge: unknown key `iamge` | did you mean `image`?");
    assert_snapshot!(refusal("servcies: {}\n"), @"compose.yaml:1:1: servcies: unknown key `servcies` | did you mean `services`?");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    x-sandbx: {}\n"), @"compose.yaml:4:5: services.web.x-sandbx: unknown key `x-sandbx` | did you mean `x-sandbox`?");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    ports:\n      - target: 80\n        publish: 1\n"), @"compose.yaml:6:9: services.web.ports[0].publish: unknown key `publish` | did you mean `published`?");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    x-sandbox: { ready: mysql }\n"), @r#"compose.yaml:4:18: services.web.x-sandbox.ready: expected one of postgres, redis, found "mysql""#);
}

#[test]
fn an_unsupported_key_is_told_apart_from_an_unknown_one() {
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    links: [b]\n"), @"compose.yaml:4:5: services.web.links: `links` is not supported yet");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    volumes:\n      - type: volume\n        source: d\n        target: /d\n        volume: { subpath: x }\n"), @"compose.yaml:8:19: services.web.volumes[0].volume.subpath: `subpath` is not supported yet");
    assert_snapshot!(refusal("include: [other.yaml]\n"), @"compose.yaml:1:1: include: `include` is not supported yet");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_was_expected() {
    assert_snapshot!(refusal("services:\n  web:\n    image: [a]\n"), @"compose.yaml:3:5: services.web.image: expected text, found a list");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    ports: 80\n"), @"compose.yaml:4:5: services.web.ports: expected a list, found a number");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    ports:\n      - \"80\"\n      - x:80\n"), @r#"compose.yaml:6:9: services.web.ports[1]: "x" is no port"#);
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    stop_grace_period: 30\n"), @"compose.yaml:4:5: services.web.stop_grace_period: expected text, found a number");
    assert_snapshot!(refusal("- services\n"), @"compose.yaml:1:1: expected a mapping, found a list");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    command: a && b\n"), @r#"compose.yaml:4:5: services.web.command: `&` in a command that no shell reads | for a shell's operators write a list: ["sh", "-c", "one && other"]"#);
}

#[test]
fn text_that_is_no_yaml_is_named_with_its_place() {
    assert_snapshot!(refusal("services:\n  web: [\n"), @"compose.yaml:3:1: did not find expected node content");
    assert_snapshot!(refusal(""), @"compose.yaml: the file is empty");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    image: b\n"), @r#"compose.yaml:4:5: services.web: duplicate entry with key "image""#);
    assert_snapshot!(refusal("services: *nowhere\n"), @"compose.yaml:1:11: unknown anchor");
}

#[test]
fn a_text_that_would_keep_the_parser_busy_is_refused_at_once() {
    assert_snapshot!(refusal(&"[".repeat(100_000)), @"compose.yaml: the brackets are nested too deep");
    let fragments: String = (1..40)
        .map(|at| {
            ["x-N: &aN [", &"*aM, ".repeat(9), "]\n"]
                .concat()
                .replace('N', &at.to_string())
                .replace('M', &(at - 1).to_string())
        })
        .collect();
    assert_snapshot!(refusal(&format!("x-0: &a0 [x]\n{fragments}")), @"compose.yaml: repetition limit exceeded");
}

#[test]
fn a_variable_that_is_required_and_unset_is_named_with_its_key() {
    assert_snapshot!(refusal("services:\n  web:\n    image: \"${IMAGE:?say which}\"\n"), @"compose.yaml:3:5: services.web.image: the variable IMAGE is required and not set: say which");
    assert_snapshot!(refusal("services:\n  web:\n    environment:\n      - A=${B\n"), @"compose.yaml:4:9: services.web.environment[0]: a `${` is not closed");
}

#[test]
fn a_fragment_is_blamed_where_it_is_written() {
    assert_snapshot!(refusal("x-base: &base\n  imgae: a\nservices:\n  web:\n    <<: *base\n"), @"compose.yaml:2:3: services.web.imgae: unknown key `imgae` | did you mean `image`?");
}

#[test]
fn parts_that_do_not_know_each_other_are_named() {
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    depends_on: [bd]\n  db:\n    image: b\n"), @"compose.yaml:4:18: services.web.depends_on.bd: there is no service `bd` in the project | did you mean `db`?");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    volumes: [\"data:/data\"]\n"), @"compose.yaml:4:15: services.web.volumes.data: there is no volume `data` in the project | declare it under the top-level `volumes`");
    assert_snapshot!(refusal("services:\n  web:\n    image: a\n    networks: { front: { aliases: [x] } }\n"), @"compose.yaml:4:17: services.web.networks.front: there is no network `front` in the project | declare it under the top-level `networks`");
    assert_snapshot!(refusal("services:\n  web: {}\n"), @"compose.yaml:2:3: services.web: the service has neither `image` nor `build`");
    assert_snapshot!(refusal("services:\n  a: { image: a, depends_on: [b] }\n  b: { image: b, depends_on: [c] }\n  c: { image: c, depends_on: [b] }\n"), @"compose.yaml:3:18: services.b.depends_on: the services wait for each other in a circle: b → c → b");
}

#[test]
fn a_secret_in_the_environment_is_not_repeated() {
    assert!(!refusal("services:\n  web:\n    image: a\n    environment: [\"=hunter2\"]\n").contains("hunter2"));
}
