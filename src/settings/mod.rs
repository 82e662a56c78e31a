//! Settings: file and environment, decided.
//!
//! Two files may speak, the later over the earlier: `$XDG_CONFIG_HOME/sandbox/config.yaml` for the user, and
//! `.sandbox.yaml` in the main checkout for the repository. Environment variables speak over both. What a command was
//! given on its command line is its own affair.

mod load;
mod surroundings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::claims::subnet::Subnet;
use crate::git::Spared;

pub use load::load;
pub use surroundings::Surroundings;

/// Dependencies, caches, logs and what compilers make, in the words of `.gitignore`.
const REGENERABLE: [&str; 46] = [
    "node_modules/",
    "bower_components/",
    ".yarn/",
    ".pnpm-store/",
    "vendor/bundle/",
    ".bundle/",
    "tmp/",
    "temp/",
    "log/",
    "logs/",
    "*.log",
    "cache/",
    ".cache/",
    ".*-cache/",
    ".*_cache/",
    "coverage/",
    ".nyc_output/",
    "public/assets/",
    "public/packs*/",
    "public/vite*/",
    ".next/",
    ".nuxt/",
    ".svelte-kit/",
    ".turbo/",
    ".parcel-cache/",
    "dist/",
    "build/",
    "out/",
    "target/",
    "_build/",
    "deps/",
    ".elixir_ls/",
    ".gradle/",
    ".venv/",
    "venv/",
    ".tox/",
    "__pycache__/",
    "*.py[co]",
    "*.egg-info/",
    "*.o",
    "*.class",
    "*.tsbuildinfo",
    "*.pid",
    "*.sw[op]",
    "*~",
    ".DS_Store",
];

/// Migrations, schemas, seeds, and the lock files that say what applies them, in the words of `.gitignore`.
const DATA_FILES: [&str; 32] = [
    "*migrate/",
    "migration/",
    "migrations/",
    "schema.rb",
    "*_schema.rb",
    "*structure.sql",
    "schema.sql",
    "seeds*",
    "**/prisma/seed.*",
    "seeders/",
    "*.prisma",
    "alembic/",
    "alembic.ini",
    "alembic_versions/",
    "drizzle/",
    "flyway/",
    "liquibase/",
    "changelog/",
    "knexfile.*",
    "Gemfile.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "requirements*.txt",
    "mix.lock",
    "composer.lock",
    "go.sum",
    "Cargo.lock",
    "Pipfile.lock",
    "bun.lock*",
];

/// Everything that can be set, with every default taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory that holds the worktrees; none for the sibling `REPO-wt`.
    pub worktrees: Option<PathBuf>,
    /// The name of the env file in a worktree.
    pub env_file: String,
    /// The name of the template a stack is made from.
    pub template: String,
    /// The port of slot 0 by variable, over the template's own: `APP_PORT: 3000`.
    pub port_bases: BTreeMap<String, u16>,
    /// Where subnets are cut from.
    pub subnet_pool: Subnet,
    /// Variables for the template: `POSTGRES_IMAGE`, `REDIS_MAXMEMORY`.
    pub variables: BTreeMap<String, String>,
    /// Whether a sandbox has installed dependencies of its own.
    pub dependencies: Dependencies,
    /// How clones of databases come by their data.
    pub storage: Storage,
    /// The commands that prepare a worktree, each for `sh`, in their order.
    pub setup: Vec<String>,
    /// What shapes the databases that the set-up makes, besides what we know, in the words of `.gitignore`.
    pub data_files: Spared,
    /// The places in a worktree whose content is made again by itself, which removal may take.
    pub regenerable: Spared,
    /// How long what was removed is kept in the trash.
    pub trash_kept: Duration,
    /// How long a fetch of the default branch may take before a command goes on without it.
    pub fetch_timeout: Duration,
    /// How long a service may take to become ready.
    pub ready_timeout: Duration,
}

/// Where dependencies are installed that do not go into the worktree by themselves, as Ruby's gems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependencies {
    /// Where the user has them: one copy for all.
    #[default]
    Share,
    /// In the worktree.
    Isolate,
}

/// How clones of databases come by their data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// In the cheapest way that the engine can: in the pool, as overlays, as copies.
    #[default]
    Auto,
    /// Each has a copy of its own.
    Copy,
}

impl Settings {
    /// The settings where nobody has set anything.
    #[must_use]
    pub fn defaults() -> Settings {
        Settings {
            worktrees: None,
            env_file: ".env.worktree".into(),
            template: "postgres-redis".into(),
            port_bases: [("APP_PORT", 3000), ("VITE_PORT", 4000)].map(|(name, base)| (name.to_owned(), base)).into(),
            subnet_pool: Subnet::containing([10, 231, 0, 0].into(), 16),
            variables: BTreeMap::new(),
            dependencies: Dependencies::Share,
            storage: Storage::Auto,
            setup: Vec::new(),
            data_files: Spared::default().and(DATA_FILES.map(str::to_owned)),
            regenerable: Spared::default().and(REGENERABLE.map(str::to_owned)),
            trash_kept: Duration::from_hours(30 * 24),
            fetch_timeout: Duration::from_secs(5),
            ready_timeout: Duration::from_mins(1),
        }
    }
}
