//! `sandbox images`

use serde_json::Value;

use crate::desk::Desk;

#[test]
fn each_image_is_listed_with_whether_it_is_here() {
    let desk = Desk::bare();
    let engine = desk.engine();
    let text = desk.run(["images", "ls"]).succeeds();
    assert!(text.contains("postgres:17") && text.contains("redis:8"), "{text}");
    let answer: Value = serde_json::from_str(&desk.run(["images", "ls", "--json"]).succeeds()).unwrap();
    assert_eq!(answer["schema_version"], 1);
    let images: Vec<(&str, bool)> = answer["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["role"].as_str().unwrap(), image["present"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        images,
        [
            ("official", true),
            ("stands in for postgres:17", false),
            ("official", true),
            ("stands in for redis:8", false),
            ("for `sandbox pool`", false)
        ]
    );
    assert!(engine.commands().is_empty());
}
