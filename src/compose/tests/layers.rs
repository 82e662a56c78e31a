//! Several files over each other.

use insta::assert_snapshot;

use super::super::{Source, load};
use super::{layered, nothing, render};

const BASE: &str = "
services:
  web:
    image: web:1
    command: run slowly
    environment: { A: '1', B: '2' }
    ports: ['80:80', '81:81']
    volumes: ['data:/data', './src:/src']
    dns: 1.1.1.1
    healthcheck: { test: curl localhost, interval: 5s }
    depends_on: [db]
    logging: { driver: json-file, options: { max-size: 1m } }
  db: { image: db }
volumes:
  data:
";

#[test]
fn later_files_are_merged_over_earlier_ones() {
    let over = "
services:
  web:
    command: [run, fast]
    environment: [B=3, C=4]
    ports: ['80:80', '82:82']
    volumes: ['./other:/src:ro']
    dns: [8.8.8.8]
    healthcheck: { retries: 3 }
    depends_on: { db: { condition: service_healthy } }
    logging: { driver: local }
";
    assert_snapshot!(render(&layered(&[BASE, over])), @r#"
    services:
      db:
        image: db
        networks:
          default: {}
      web:
        image: "web:1"
        command:
          - run
          - fast
        environment:
          A: "1"
          B: "3"
          C: "4"
        ports:
          - target: 80
            published: "80"
            protocol: tcp
            mode: ingress
          - target: 81
            published: "81"
            protocol: tcp
            mode: ingress
          - target: 82
            published: "82"
            protocol: tcp
            mode: ingress
        networks:
          default: {}
        dns:
          - "1.1.1.1"
          - "8.8.8.8"
        volumes:
          - type: volume
            source: data
            target: /data
          - type: bind
            source: "./other"
            target: /src
            read_only: true
            bind:
              create_host_path: true
        depends_on:
          db:
            condition: service_healthy
            required: true
        healthcheck:
          test:
            - CMD-SHELL
            - "curl localhost"
          interval: "5s"
          retries: 3
        logging:
          driver: local
    networks:
      default: {}
    volumes:
      data: {}
    "#);
}

#[test]
fn a_file_over_itself_changes_nothing() {
    assert_eq!(layered(&[BASE, BASE]), layered(&[BASE]));
}

#[test]
fn reset_takes_away_and_override_replaces() {
    let over = "
services:
  web:
    ports: !override ['90:90']
    environment: { A: !reset null }
    healthcheck: !reset {}
    depends_on: { db: !reset null }
    volumes: !reset []
";
    let project = layered(&[BASE, over]);
    let web = &project.services["web"];
    assert_eq!(web.ports.len(), 1);
    assert_eq!(web.ports[0].target, 90);
    assert_eq!(web.environment.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(web.healthcheck, None);
    assert!(web.depends_on.is_empty() && web.volumes.is_empty());
}

#[test]
fn the_documents_of_one_file_are_layers_too() {
    let project = layered(&["services: { a: { image: one, user: me } }\n---\nservices: { a: { image: two } }\n"]);
    assert_eq!(project.services["a"].image.as_deref(), Some("two"));
    assert_eq!(project.services["a"].user.as_deref(), Some("me"));
}

#[test]
fn an_error_names_the_file_that_it_is_in() {
    let sources = [
        Source { name: "compose.yaml", text: "services: { a: { image: one } }" },
        Source { name: "compose.override.yaml", text: "services:\n  a:\n    depends_on: [nobody]\n" },
    ];
    let error = load(&sources, &nothing).unwrap_err();
    assert_snapshot!(error.to_string(), @"compose.override.yaml:3:18: services.a.depends_on.nobody: there is no service `nobody` in the project");
}
