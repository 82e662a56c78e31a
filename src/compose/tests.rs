//! The model as a whole: texts in, texts out.

mod errors;
mod identity;
mod layers;
mod template;
mod whole;

use super::{Loaded, Project, Source, load, render};
use crate::error::{Error, Kind};

fn nothing(_: &str) -> Option<String> {
    None
}

fn try_load(text: &str) -> Result<Loaded, Error> {
    load(&[Source { name: "compose.yaml", text }], &nothing)
}

fn project(text: &str) -> Project {
    try_load(text).unwrap().project
}

fn layered(texts: &[&str]) -> Project {
    let sources: Vec<Source> = texts.iter().map(|text| Source { name: "compose.yaml", text }).collect();
    load(&sources, &nothing).unwrap().project
}

/// The error of a text, with its hints.
fn refusal(text: &str) -> String {
    let error = try_load(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    [vec![error.to_string()], error.hints().to_vec()].concat().join(" | ")
}
