//! `sandbox up`, as far as it goes without an engine that obeys.

mod base;
mod claims;
mod dry_run;
mod git;
mod place;
mod repository;
mod task_name;
mod tracked;
