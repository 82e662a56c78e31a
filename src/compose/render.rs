//! A project → Compose YAML that loads back to the same project, in an order that never changes.

use serde::Serialize;
use serde_yaml::{Mapping, Value};

use super::emit::emit;
use super::project::Project;
use super::service::Service;

/// The keys of a service that mean something when they are empty: they take away the image's.
const EMPTY_SPEAKS: [&str; 2] = ["entrypoint", "command"];

/// Writes the project as standard Compose YAML, which `docker compose -f` accepts. Every `$` is written `$$`.
#[must_use]
pub fn render(project: &Project) -> String {
    let mut root = Mapping::new();
    if let Some(name) = &project.name {
        root.insert("name".into(), name.as_str().into());
    }
    let services = project.services.iter().map(|(name, service)| (name.as_str().into(), service_tree(service)));
    root.insert("services".into(), Value::Mapping(services.collect()));
    let networks = project.networks.iter().map(|(name, network)| (name.as_str().into(), tree(network)));
    insert_some(&mut root, "networks", networks.collect());
    let volumes = project.volumes.iter().map(|(name, volume)| (name.as_str().into(), tree(volume)));
    insert_some(&mut root, "volumes", volumes.collect());
    let mut root = Value::Mapping(root);
    escape(&mut root);
    emit(&root)
}

/// The canonical text of one service.
pub(super) fn service_text(service: &Service) -> String {
    emit(&service_tree(service))
}

fn service_tree(service: &Service) -> Value {
    let mut tree = tree(service);
    if let Value::Mapping(mapping) = &mut tree {
        mapping.retain(|key, value| key.as_str().is_some_and(|key| EMPTY_SPEAKS.contains(&key)) || !is_empty(value));
    }
    tree
}

/// The tree of a part of the project, without what is none.
pub(super) fn tree(part: &impl Serialize) -> Value {
    // Text keys, numbers, text: nothing in the model can fail to be written.
    let mut tree = serde_yaml::to_value(part).unwrap_or_default();
    prune(&mut tree);
    tree
}

/// Takes out what is none. Only where the user chose the keys does a null mean something.
fn prune(value: &mut Value) {
    match value {
        Value::Mapping(mapping) => {
            mapping.retain(|_, value| !value.is_null());
            for (key, value) in mapping.iter_mut() {
                if !matches!(key.as_str(), Some("environment" | "args")) {
                    prune(value);
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(mapping) => mapping.is_empty(),
        _ => false,
    }
}

fn insert_some(root: &mut Mapping, key: &str, mapping: Mapping) {
    if !mapping.is_empty() {
        root.insert(key.into(), Value::Mapping(mapping));
    }
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Sequence(items) => items.iter_mut().for_each(escape),
        Value::Mapping(mapping) => mapping.iter_mut().for_each(|(_, value)| escape(value)),
        _ => {}
    }
}
