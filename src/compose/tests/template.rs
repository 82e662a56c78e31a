//! The template that ships: Postgres and Redis.

use std::time::Duration;

use super::super::{MountKind, Source, load, render};
use super::{nothing, project};

const TEMPLATE: &str = r#"
name: ${COMPOSE_PROJECT_NAME:-sandbox}

services:
  postgres:
    image: ${POSTGRES_IMAGE:-postgres:17}
    command:
      - postgres
      - -c
      - shared_buffers=32MB
      - -c
      - max_connections=50
    environment:
      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-postgres}
    ports:
      - "127.0.0.1:${POSTGRES_PORT:-5432}:5432"
    volumes:
      - postgres-data:/var/lib/postgresql/data
    shm_size: 128m
    stop_grace_period: 30s
    healthcheck:
      test: ["CMD", "pg_isready", "-U", "postgres"]
      interval: 5s
      timeout: 3s
      retries: 10
      start_period: 1m
    x-sandbox:
      ready: postgres
      databases: ["${DB_NAME:-app_development}", "${TEST_DB_NAME:-app_test}"]
  redis:
    image: ${REDIS_IMAGE:-redis:8}
    user: redis
    command: ["sh", "-c", "printf 'requirepass %s\n' \"$$REDIS_PASSWORD\" | exec redis-server - --save ''"]
    environment:
      REDIS_PASSWORD: ${REDIS_PASSWORD:-redis}
    ports:
      - "127.0.0.1:${REDIS_PORT:-6379}:6379"
    x-sandbox: { ready: redis }

networks:
  default:
    name: ${COMPOSE_PROJECT_NAME:-sandbox}_default
    ipam:
      config:
        - subnet: ${SANDBOX_SUBNET:-10.213.0.0/28}

volumes:
  postgres-data:
    name: ${COMPOSE_PROJECT_NAME:-sandbox}_postgres-data
"#;

#[test]
fn the_template_means_what_it_says() {
    let project = project(TEMPLATE);
    let postgres = &project.services["postgres"];
    assert_eq!(postgres.image.as_deref(), Some("postgres:17"));
    assert_eq!(postgres.environment["POSTGRES_PASSWORD"].as_deref(), Some("postgres"));
    assert_eq!(postgres.shm_size, Some(128 << 20));
    assert_eq!(postgres.stop_grace_period, Some(Duration::from_secs(30)));
    assert_eq!(postgres.healthcheck.as_ref().unwrap().start_period, Some(Duration::from_mins(1)));
    assert_eq!(postgres.volumes[0].kind, MountKind::Volume { source: Some("postgres-data".into()), nocopy: false });
    assert_eq!(postgres.x_sandbox.as_ref().unwrap().databases, ["app_development", "app_test"]);
    assert!(postgres.networks.contains_key("default"));
    let redis = &project.services["redis"];
    assert!(redis.command.as_ref().unwrap()[2].contains("\n' \"$REDIS_PASSWORD\" |"));
    assert_eq!(project.volumes["postgres-data"].full_name("other", "postgres-data"), "sandbox_postgres-data");
    assert_eq!(project.networks["default"].ipam.as_ref().unwrap().config[0].subnet.as_deref(), Some("10.213.0.0/28"));
}

#[test]
fn the_template_takes_its_numbers_from_the_variables() {
    let lookup = |name: &str| (name == "POSTGRES_PORT").then(|| "15432".to_owned());
    let loaded = load(&[Source { name: "template", text: TEMPLATE }], &lookup).unwrap();
    let port = &loaded.project.services["postgres"].ports[0];
    assert_eq!((port.published.unwrap().first, port.target), (15432, 5432));
    assert_eq!(port.host_ip.unwrap().to_string(), "127.0.0.1");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_template_reads_back_as_it_was_written() {
    let first = project(TEMPLATE);
    let text = render(&first);
    assert_eq!(load(&[Source { name: "rendered", text: &text }], &nothing).unwrap().project, first, "{text}");
}

#[test]
fn the_rendered_template_is_plain_compose() {
    insta::assert_snapshot!(render(&project(TEMPLATE)), @r#"
    name: sandbox
    services:
      postgres:
        image: "postgres:17"
        command:
          - postgres
          - "-c"
          - "shared_buffers=32MB"
          - "-c"
          - "max_connections=50"
        environment:
          POSTGRES_PASSWORD: postgres
        ports:
          - target: 5432
            published: "5432"
            host_ip: "127.0.0.1"
            protocol: tcp
            mode: ingress
        networks:
          default: {}
        volumes:
          - type: volume
            source: postgres-data
            target: /var/lib/postgresql/data
        shm_size: 134217728
        healthcheck:
          test:
            - CMD
            - pg_isready
            - "-U"
            - postgres
          interval: "5s"
          timeout: "3s"
          retries: 10
          start_period: "1m"
        stop_grace_period: "30s"
        x-sandbox:
          ready: postgres
          databases:
            - app_development
            - app_test
      redis:
        image: "redis:8"
        command:
          - sh
          - "-c"
          - "printf 'requirepass %s\n' \"$$REDIS_PASSWORD\" | exec redis-server - --save ''"
        user: redis
        environment:
          REDIS_PASSWORD: redis
        ports:
          - target: 6379
            published: "6379"
            host_ip: "127.0.0.1"
            protocol: tcp
            mode: ingress
        networks:
          default: {}
        x-sandbox:
          ready: redis
    networks:
      default:
        name: sandbox_default
        ipam:
          config:
            - subnet: "10.213.0.0/28"
    volumes:
      postgres-data:
        name: sandbox_postgres-data
    "#);
}
