//! Properties over generated texts and projects.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::{
    Attachment, Condition, Dependency, Extension, Healthcheck, Mount, MountKind, Network, Port, PortMode, Probe,
    Project, Protocol, Published, Restart, Service, Source, Ulimit, Volume, load, render,
};
use super::nothing;

/// Text that a careless writer would spoil.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        any::<String>(),
        prop::sample::select(vec![
            "$A",
            "${B:-c}",
            "yes",
            "0123",
            "2024-01-01",
            "null",
            "1e3",
            " x ",
            "a: b",
            "#",
            "- a",
            "\u{2028}\u{7f}\u{85}",
            "~",
            "<<",
            ""
        ])
        .prop_map(str::to_owned),
    ]
}

fn key() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,6}"
}

fn port() -> impl Strategy<Value = Port> {
    let published =
        option::of((1_u16..=60_000, 0_u16..3).prop_map(|(first, more)| Published { first, last: first + more }));
    (1_u16.., published, option::of(any::<std::net::IpAddr>()), any::<bool>(), option::of(text())).prop_map(
        |(target, published, host_ip, udp, name)| Port {
            target,
            published,
            host_ip,
            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
            mode: if udp { PortMode::Host } else { PortMode::Ingress },
            name: name.clone(),
            app_protocol: name,
        },
    )
}

fn mount() -> impl Strategy<Value = Mount> {
    let kind = prop_oneof![
        any::<bool>().prop_map(|nocopy| MountKind::Volume { source: Some("data".into()), nocopy }),
        (text(), any::<bool>()).prop_map(|(source, create_host_path)| MountKind::Bind {
            source,
            create_host_path,
            propagation: None,
            selinux: None
        }),
        option::of(any::<u32>().prop_map(u64::from)).prop_map(|size_bytes| MountKind::Tmpfs { size_bytes, mode: None }),
    ];
    ("/[a-z]{0,5}", any::<bool>(), kind).prop_map(|(target, read_only, kind)| Mount { target, read_only, kind })
}

fn healthcheck() -> impl Strategy<Value = Healthcheck> {
    let period = || option::of((0..i64::MAX).prop_map(|ns| Duration::from_nanos(ns.unsigned_abs())));
    let test = option::of(text().prop_map(|line| vec!["CMD-SHELL".to_owned(), line]));
    (test, period(), period(), option::of(any::<u32>())).prop_map(|(test, interval, start_period, retries)| {
        Healthcheck { test, interval, retries, start_period, ..Healthcheck::default() }
    })
}

prop_compose! {
    fn service()(
        image in text().prop_map(|name| format!("i{name}")),
        command in option::of(vec(text(), 0..3)),
        environment in btree_map(text().prop_filter("a name", |name| name != "<<"), option::of(text()), 0..4),
        labels in btree_map(text().prop_filter("a name", |name| name != "<<"), text(), 0..3),
        ports in vec(port(), 0..3),
        volumes in vec(mount(), 0..3),
        healthcheck in option::of(healthcheck()),
        init in option::of(any::<bool>()),
        cpus in option::of(0_u64..1_000_000_000_000),
        aliases in vec("[a-z]{1,4}", 0..2),
        limit in any::<i64>(),
    ) -> Service {
        let aliases = super::super::lists::unique(aliases);
        Service {
            image: Some(image),
            command,
            environment,
            labels,
            ports: super::super::lists::unique(ports),
            volumes,
            healthcheck: healthcheck.filter(|healthcheck| *healthcheck != Healthcheck::default()),
            init,
            cpus,
            networks: BTreeMap::from([("net".into(), Attachment { aliases, ..Attachment::default() })]),
            ulimits: BTreeMap::from([("nofile".into(), Ulimit { soft: limit, hard: -1 })]),
            restart: Some(Restart::OnFailure(init.map(u32::from))),
            x_sandbox: init.map(|_| Extension { ready: Some(Probe::Postgres), databases: vec!["a-b".into()] }),
            ..Service::default()
        }
    }
}

fn generated() -> impl Strategy<Value = Project> {
    btree_map(key(), service(), 1..4).prop_map(|mut services| {
        let first = services.keys().next().cloned().unwrap_or_default();
        for service in services.values_mut().skip(1) {
            let dependency = Dependency { condition: Condition::Healthy, ..Dependency::default() };
            service.depends_on.insert(first.clone(), dependency);
        }
        Project {
            name: None,
            services,
            networks: BTreeMap::from([("net".into(), Network { internal: Some(true), ..Network::default() })]),
            volumes: BTreeMap::from([("data".into(), Volume { name: Some("$x".into()), ..Volume::default() })]),
        }
    })
}

/// Text that looks enough like Compose to come far.
fn nearly_compose() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "services",
        "web",
        "image",
        "ports",
        "volumes",
        "environment",
        "command",
        "<<",
        "&a",
        "*a",
        "!reset",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "'",
        "\"",
        "80:80",
        "./a:/b",
        "${A:-",
        "}",
        "$",
        "1m",
        "---\n",
        "x-a",
        "healthcheck",
        "depends_on",
        "deploy",
        "null",
        "? ",
        "| ",
        "# ",
        ",",
        "é",
    ]);
    vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_loads_as_what_it_was(project in generated()) {
        let text = render(&project);
        let loaded = load(&[Source { name: "rendered", text: &text }], &nothing).unwrap();
        prop_assert_eq!(&loaded.project, &project, "{}", text);
        prop_assert_eq!(render(&loaded.project), text);
        prop_assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in any::<String>(), nearly in nearly_compose()) {
        drop(load(&[Source { name: "a", text: &text }, Source { name: "b", text: &nearly }], &nothing));
        drop(load(&[Source { name: "b", text: &nearly }], &nothing));
    }

    #[test]
    fn no_value_makes_the_loader_panic(at in 0_usize..24, value in any::<String>()) {
        let keys = [
            "command", "ports", "volumes", "environment", "cpus", "mem_limit", "stop_grace_period", "restart", "extra_hosts",
            "healthcheck", "depends_on", "networks", "ulimits", "deploy", "build", "env_file", "x-sandbox", "dns", "expose",
            "user", "shm_size", "pids_limit", "init", "logging",
        ];
        let quoted = serde_json::to_string(&value).unwrap();
        let text = format!("services: {{ a: {{ image: a, {}: {quoted} }}, b: {{ image: b, {}: [{quoted}] }} }}", keys[at], keys[at]);
        drop(load(&[Source { name: "a", text: &text }], &nothing));
    }
}
