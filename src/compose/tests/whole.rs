//! Forms of the same thing, defaults, order, hashes.

use super::super::{Source, load};
use super::{nothing, project, render, try_load};

/// One service with these further lines.
fn service(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    format!("services:\n  a:\n    image: a\n    {lines}\n  b:\n    image: b\nvolumes:\n  d:\nnetworks:\n  n:\n")
}

#[test]
fn the_short_and_the_long_form_mean_the_same() {
    for (short, long) in [
        ("ports: ['127.0.0.1:1:2/udp']", "ports: [{ target: 2, published: '1', host_ip: 127.0.0.1, protocol: udp }]"),
        ("ports: [80]", "ports: [{ target: '80', mode: ingress }]"),
        (
            "volumes: ['d:/d:ro,nocopy']",
            "volumes: [{ type: volume, source: d, target: /d, read_only: true, volume: { nocopy: true } }]",
        ),
        (
            "volumes: ['./x:/x:Z']",
            "volumes: [{ type: bind, source: ./x, target: /x, bind: { selinux: Z, create_host_path: true } }]",
        ),
        ("volumes: ['/x']", "volumes: [{ type: volume, target: /x }]"),
        ("environment: [A=1, B=, C]", "environment: { A: 1, B: '', C: }"),
        ("environment: [A=true, B=1.5, C=1000, D=3]", "environment: { A: true, B: 1.50, C: 1e3, D: 3.0 }"),
        ("command: a 'b c'", "command: [a, b c]"),
        ("depends_on: [b]", "depends_on: { b: { condition: service_started, required: true } }"),
        ("networks: [n]", "networks: { n: }"),
        ("ulimits: { nofile: 5 }", "ulimits: { nofile: { soft: 5, hard: 5 } }"),
        ("healthcheck: { test: a b }", "healthcheck: { test: [CMD-SHELL, a b] }"),
        ("healthcheck: { disable: true }", "healthcheck: { test: [NONE] }"),
        ("labels: [a=b, c]", "labels: { a: b, c: '' }"),
        ("extra_hosts: ['h:1.2.3.4', 'g=::1']", "extra_hosts: { h: 1.2.3.4, g: ['[::1]'] }"),
        ("build: ./x", "build: { context: ./x }"),
        ("env_file: a.env", "env_file: [{ path: a.env, required: true }]"),
        ("tmpfs: /t", "tmpfs: [/t]"),
        ("mem_limit: 64m", "mem_limit: 67108864"),
        ("cpus: 0.5", "deploy: { resources: { limits: { cpus: '0.50' } } }"),
        ("init: true", "init: 'yes'"),
        ("restart: no", "restart: 'no'"),
        ("networks: [default]", "x-mine: [anything]"),
    ] {
        assert_eq!(project(&service(short)), project(&service(long)), "{short}");
    }
}

#[test]
fn fragments_may_build_on_fragments() {
    let text = "
x-base: &base { image: a, user: u }
x-more: &more { <<: *base, tty: true }
services:
  one: { <<: *more, user: v }
  two: { <<: [*more, { hostname: h, tty: false }] }
";
    let project = project(text);
    let (one, two) = (&project.services["one"], &project.services["two"]);
    assert_eq!((one.image.as_deref(), one.user.as_deref(), one.tty), (Some("a"), Some("v"), Some(true)));
    assert_eq!((two.hostname.as_deref(), two.user.as_deref(), two.tty), (Some("h"), Some("u"), Some(true)));
}

#[test]
fn a_variable_without_a_value_is_handed_through() {
    let text = service("environment: [HOME, NOWHERE]");
    let lookup = |name: &str| (name == "HOME").then(|| "/me".to_owned());
    let project = load(&[Source { name: "c", text: &text }], &lookup).unwrap().project;
    let environment = &project.services["a"].environment;
    assert_eq!(environment["HOME"].as_deref(), Some("/me"));
    assert_eq!(environment["NOWHERE"], None);
}

#[test]
fn an_unset_variable_is_empty_and_warned_of_once_for_each_key() {
    let loaded = try_load(&service("user: \"$ME$ME\"\nhostname: x$ME")).unwrap();
    let warned: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "compose.yaml: services.a.user: the variable ME is not set and became empty",
            "compose.yaml: services.a.hostname: the variable ME is not set and became empty",
        ]
    );
    assert_eq!(loaded.project.services["a"].hostname.as_deref(), Some("x"));
}

#[test]
fn the_default_network_is_there_exactly_when_a_service_needs_it() {
    assert!(project("services: { a: { image: a } }").networks.contains_key("default"));
    assert!(project("services: { a: { image: a, network_mode: none } }").networks.is_empty());
    let named = project("services: { a: { image: a, networks: [n] } }\nnetworks: { n: { internal: true } }");
    assert_eq!(named.networks.keys().collect::<Vec<_>>(), ["n"]);
}

#[test]
fn services_start_after_what_they_depend_on() {
    let text = "
services:
  a: { image: a, depends_on: [c] }
  b: { image: b, network_mode: 'service:a' }
  c: { image: c, depends_on: { ghost: { condition: service_started, required: false } } }
  d: { image: d }
";
    assert_eq!(project(text).start_order(), ["c", "d", "a", "b"]);
}

#[test]
fn a_profile_brings_in_its_services_and_what_they_need() {
    let text = "
services:
  app: { image: a }
  tool: { image: t, profiles: [debug], depends_on: [store] }
  store: { image: s, profiles: [storage] }
";
    let names = |profiles: &[&str]| project(text).with_profiles(profiles).services.into_keys().collect::<Vec<_>>();
    assert_eq!(names(&[]), ["app"]);
    assert_eq!(names(&["debug"]), ["app", "store", "tool"]);
    assert_eq!(names(&["*"]), ["app", "store", "tool"]);
}

#[test]
fn the_hash_changes_exactly_when_the_container_must_be_made_anew() {
    let hash = |lines: &str| project(&service(lines)).services["a"].config_hash();
    let plain = hash("");
    assert_eq!(plain.len(), 64);
    for same in [
        "depends_on: [b]",
        "profiles: [p]",
        "x-sandbox: { ready: redis }",
        "pull_policy: always",
        "labels: { sandbox.task: t }",
        "networks: [default]",
    ] {
        assert_eq!(hash(same), plain, "{same}");
    }
    for changed in
        ["user: u", "labels: { mine: t }", "command: []", "environment: { A: }", "networks: [n]", "init: false"]
    {
        assert_ne!(hash(changed), plain, "{changed}");
    }
    assert_eq!(hash("ports: ['1:2']"), hash("ports: [{ target: 2, published: 1 }]"));
}

#[test]
fn paths_are_anchored_where_the_project_lies() {
    let mut project =
        project(&service("build: .\nenv_file: [.env]\nvolumes: ['./a/../b:/b', '~/c:/c', '/d:/d', 'd:/e']"));
    project.anchor_paths("/src/app", Some("/home/me"));
    let text = render(&project);
    for path in ["/src/app\n", "/src/app/.env", "/src/app/a/../b", "/home/me/c", "source: /d\n", "source: d\n"] {
        assert!(text.contains(path), "{path} in {text}");
    }
}

#[test]
fn an_empty_command_survives_being_written() {
    let first = project(&service("command: []\nentrypoint: ''"));
    assert_eq!(first.services["a"].entrypoint, Some(vec![]));
    assert_eq!(project(&render(&first)), first);
}

#[test]
fn a_range_of_all_ports_is_no_burden() {
    assert_eq!(project(&service("ports: ['1-65535:1-65535']")).services["a"].ports.len(), 65_535);
}

#[test]
fn the_version_key_and_extensions_mean_nothing() {
    let plain = project("services: { a: { image: a } }");
    assert_eq!(
        project("version: '3.8'\nx-note: [1]\nservices: { a: { image: a, x-y: 1, x-ports: [80], attach: false } }"),
        plain
    );
    assert!(load(&[], &nothing).is_err());
}
