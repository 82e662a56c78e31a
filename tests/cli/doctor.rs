//! `sandbox doctor`

use sandbox::error::Kind;
use serde_json::Value;

use crate::desk::{Desk, Footprint};

#[test]
fn everything_is_looked_at_and_nothing_touched() {
    let desk = Desk::new();
    let engine = desk.engine();
    let before = Footprint::of(&desk);
    let ran = desk.run(["doctor", "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let looked_at: Vec<&str> =
        answer["checks"].as_array().unwrap().iter().map(|check| check["what"].as_str().unwrap()).collect();
    assert_eq!(looked_at, ["repository", "git", "claims", "engine", "loopback", "subnets", "image", "image"]);
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
    assert!(engine.commands().is_empty());
}

#[test]
fn without_an_engine_it_ends_with_the_code_of_that() {
    let desk = Desk::new();
    let ran = desk.run(["doctor"]);
    assert_eq!(ran.code, i32::from(Kind::Engine.exit_code()));
    assert!(ran.stdout.contains("FAILED   engine: there is no Docker Engine at"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok       repository:"), "{}", ran.stdout);
}

#[test]
fn outside_of_a_repository_it_still_looks_at_the_engine() {
    let desk = Desk::bare();
    let _engine = desk.engine();
    let ran = desk.run(["doctor"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("warning  repository:"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok       engine: 27.0.0"), "{}", ran.stdout);
}
