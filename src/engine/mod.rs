//! The one door to Docker Engine.
//!
//! Owns every request to the engine's API and every peculiarity of its versions. Only nouns of ours leave it: no
//! type of the client library appears in a public signature. It decides nothing: what should exist is the plan's
//! business, what is to be said about it the report's.
//!
//! | file | what it holds |
//! |---|---|
//! | `connect` | finding and opening the socket: [`Engine::connect`], [`Surroundings`] |
//! | `endpoint`, `context` | `DOCKER_HOST` and Docker contexts, read as values |
//! | `ping` | the first request, which settles the API version |
//! | `docker` | [`Engine`] itself and how each call is bounded |
//! | `failure` | what the engine answered, told apart from an engine that is gone |
//! | `deadline` | how long each kind of call may take, and why |
//! | `loopback` | whether the engine's 127.0.0.1 is ours |
//! | `facts` | what the engine says of itself |
//! | `labels` | the names under which everything is found again |
//! | `container`, `details` | containers as listed, and as inspected |
//! | `spec`, `create` | what a container is to be, and making it |
//! | `lifecycle` | start, stop, kill, remove, wait |
//! | `network`, `volume`, `image` | their namesakes |
//! | `pull`, `reference`, `credentials` | images from a registry |
//! | `build`, `import`, `progress` | images made here |
//! | `logs`, `lines`, `frames` | what a container has written |
//! | `exec`, `hijack`, `terminal` | processes inside a container |
//! | `archive` | files into a container, and whose its directories are |

mod archive;
mod build;
mod connect;
mod container;
mod context;
mod create;
mod credentials;
mod deadline;
mod details;
mod docker;
mod endpoint;
mod exec;
mod facts;
mod failure;
mod frames;
mod hijack;
mod image;
mod import;
pub mod labels;
mod lifecycle;
mod lines;
mod logs;
mod loopback;
mod network;
mod ping;
mod progress;
mod pull;
mod reference;
mod spec;
mod stats;
pub mod terminal;
mod volume;

pub use archive::Root;
pub use build::BuildSpec;
pub use connect::Surroundings;
pub use container::{Attachment, Container, Health, MountKind, Mounted, Protocol, PublishedPort, State};
pub use create::CreateContainer;
pub use details::Details;
pub use docker::Engine;
pub use exec::{Captured, ExecSpec, Streams};
pub use facts::Facts;
pub(crate) use facts::LITTLE_ROOM;
pub(crate) use failure::disk_full;
pub use frames::Source;
pub use image::{Image, RemoveImage};
pub use lifecycle::{Exit, Start};
pub use logs::{LogLine, LogOptions};
pub use network::{CreateNetwork, Network, NetworkSpec, Subnet};
pub use pull::Pull;
pub use spec::{ContainerSpec, HealthTest, Healthcheck, LogDriver, Membership, MountSpec, Port, Restart, Ulimit};
pub use stats::Stats;
pub use volume::{Volume, VolumeSpec};
