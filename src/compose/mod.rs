//! The Compose model: load → interpolate → merge → check → normalise → [`Project`], and back to text.
//!
//! Pure: reads no file and no environment. The caller hands over the texts and a closure that knows the variables.
//! Knows nothing of Docker, of sandboxes' names or of numbers; owns all that is known about Compose's own rules.
//!
//! The way of a source, one verb a file:
//!
//! | step | file |
//! |---|---|
//! | YAML text → documents, `<<` resolved | `document.rs` |
//! | `!reset` and `!override` take away what earlier documents said | `tags.rs` |
//! | `$VAR` and its kin | `interpolate.rs`, grammar in `template.rs` |
//! | strict reading, document by document | `cursor.rs` walks; `service.rs`, `port.rs`, `mount.rs`, … know the keys |
//! | later documents over earlier ones | `merge.rs` |
//! | what only the whole can tell | `check.rs`, `order.rs` |
//! | defaults made explicit | `normalise.rs` |
//! | a complaint gets its file, line and column | `position.rs` |
//! | a project → text; a service → hash | `render.rs` over `emit.rs`, `hash.rs` |

mod build;
mod check;
mod complaint;
mod cursor;
mod deploy;
mod document;
mod duration;
mod emit;
mod env_file;
mod extension;
mod hash;
mod healthcheck;
mod interpolate;
mod lists;
mod load;
mod logging;
mod merge;
mod mount;
mod network;
mod normalise;
mod order;
mod pairs;
mod paths;
mod port;
mod position;
mod profile;
mod project;
mod relation;
mod render;
mod restart;
mod service;
mod size;
mod suggest;
mod tags;
mod template;
mod ulimit;
mod volume;
mod words;

#[cfg(test)]
mod tests;

pub use build::Build;
pub use env_file::EnvFile;
pub use extension::{Extension, Probe};
pub use healthcheck::Healthcheck;
pub use interpolate::Warning;
pub use load::{Loaded, Source, load};
pub use logging::Logging;
pub use mount::{Mount, MountKind, Selinux};
pub use network::{Attachment, Ipam, Network, Subnet};
pub use port::{Port, PortMode, Protocol, Published};
pub use project::Project;
pub use relation::{Condition, Dependency};
pub use render::render;
pub use restart::Restart;
pub use service::Service;
pub use size::parse_bytes;
pub use ulimit::Ulimit;
pub use volume::Volume;
