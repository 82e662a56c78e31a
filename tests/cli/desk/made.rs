//! A sandbox as `up` leaves it with git, made without an engine.

use std::path::PathBuf;

use sandbox::claims::Claim;
use sandbox::claims::file::ClaimsFile;
use sandbox::env;
use sandbox::record::{Record, Stage};
use sandbox::resolve::COMPOSE_FILE;
use sandbox::task::{Identity, Names, TaskName};

use super::Desk;

/// See the module.
pub(crate) struct Made {
    /// Its worktree.
    pub(crate) path: PathBuf,
    /// Its record.
    pub(crate) record: Record,
    /// Its env file.
    pub(crate) env_file: PathBuf,
}

impl Desk {
    /// A sandbox of the repository, with the numbers of slot 101.
    pub(crate) fn made(&self, task: &str) -> Made {
        self.made_at(task, 101)
    }

    /// A sandbox of the repository, with the numbers of a slot.
    pub(crate) fn made_at(&self, task: &str, slot: u16) -> Made {
        let repo = self.repo();
        let common_dir = repo.join(".git");
        let identity = Identity { repo: common_dir.display().to_string(), task: TaskName::parse(task).unwrap() };
        let names = Names::plain("blog", &identity);
        let path = self.worktrees().join(&names.directory);
        for name in [format!("refs/heads/{task}"), format!("refs/sandbox/made/{task}")] {
            self.git(&repo, &["update-ref", &name, "HEAD"]);
        }
        self.git(&repo, &["worktree", "add", "--quiet", path.to_str().unwrap(), task]);
        let record = self.record(identity, names, slot);
        record.write(&common_dir.join("worktrees").join(path.file_name().unwrap())).unwrap();
        let variables = env::variables(&record, &path.join(COMPOSE_FILE));
        let env_file = self.write(path.join(&record.env_file), &env::dotenv(&variables).unwrap());
        Made { path, record, env_file }
    }

    fn record(&self, identity: Identity, names: Names, slot: u16) -> Record {
        let bases = [("APP_PORT", 3000), ("POSTGRES_PORT", 15000), ("REDIS_PORT", 16000), ("VITE_PORT", 4000)];
        let claim = Claim {
            identity,
            names,
            slot,
            ports: bases.map(|(name, base)| (name.to_owned(), base + slot)).into(),
            subnet: format!("10.231.{}.80/28", slot % 200).parse().unwrap(),
        };
        let claims = ClaimsFile::new(self.state());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(claims.change(|registry| registry.enter(&claim))).unwrap());
        let mut record =
            Record::new(claim, "2026-01-01T00:00:00Z".into(), "s3cret".into(), false, ".env.worktree".into());
        record.images = [("postgres", "postgres:17"), ("redis", "redis:8")].map(|(a, b)| (a.into(), b.into())).into();
        record.at(Stage::Established)
    }
}
