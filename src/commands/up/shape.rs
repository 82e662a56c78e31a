//! What shapes the data of a commit: migrations, schemas, seeds and lock files.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::git::{CommitId, Spared};
use crate::hex::hex;
use crate::setup::Setup;
use crate::site::Site;

/// What the data is gone forward from by adding to it.
const MIGRATIONS: [&str; 7] =
    ["*migrate/", "migration/", "migrations/", "flyway/", "drizzle/", "alembic/", "alembic_versions/"];

/// What says how the data is as a whole, or with what it is made: an ancestor may have others.
const MAY_DIFFER: [&str; 12] = [
    "schema.rb",
    "*_schema.rb",
    "*structure.sql",
    "schema.sql",
    "schema.prisma",
    "*.lock",
    "package-lock.json",
    "pnpm-lock.yaml",
    "requirements*.txt",
    "bun.lockb",
    "go.sum",
    "alembic.ini",
];

/// The files of a commit that shape the data, with what git calls their contents, and those that the commands name.
pub(super) async fn shaping(site: &Site, setup: &Setup, commit: &CommitId) -> Result<BTreeMap<String, String>> {
    let files = site.repo.files_of(commit).await?;
    let mut shaping = setup.named(&files);
    shaping.extend(shaping_among(&files, &site.settings.data_files)?);
    Ok(shaping)
}

/// Those of some files that shape the data. Where nothing is known that makes it, all of them may.
fn shaping_among(files: &[(String, String)], data_files: &Spared) -> Result<BTreeMap<String, String>> {
    let matching = |places: &Spared| -> Result<BTreeSet<String>> {
        Ok(places.among(files.iter().map(|(path, _)| path.as_str()))?.into_iter().map(str::to_owned).collect())
    };
    let known = matching(data_files)?;
    let may_differ = matching(&Spared::default().and(MAY_DIFFER.map(str::to_owned)))?;
    let may_shape = |path: &String| known.is_subset(&may_differ) || known.contains(path);
    Ok(files.iter().filter(|(path, _)| may_shape(path)).cloned().collect())
}

/// The key of what is made of it: of a repository, on a basis.
pub(super) fn key(repo: &str, basis: &str, shaping: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("prepared\n{} {repo}\n{basis}\n", repo.len()));
    for (path, content) in shaping {
        hash.update(format!("{} {path} {content}\n", path.len()));
    }
    hex(&hash.finalize())
}

/// Whether migrations alone lead from what one commit shapes to what a later one does.
pub(super) fn goes_forward(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Result<bool> {
    let other: Vec<&str> = from
        .iter()
        .filter(|(path, content)| to.get(*path) != Some(content))
        .chain(to.iter().filter(|(path, _)| !from.contains_key(*path)))
        .map(|(path, _)| path.as_str())
        .collect();
    let may_differ = Spared::default().and(MAY_DIFFER.map(str::to_owned));
    let migrations = Spared::default().and(MIGRATIONS.map(str::to_owned));
    let added: Vec<&str> = other.iter().copied().filter(|path| !from.contains_key(*path)).collect();
    let fine = [may_differ.among(other.iter().copied())?, migrations.among(added)?].concat();
    Ok(other.iter().all(|path| fine.contains(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn files(listed: &[(&str, &str)]) -> BTreeMap<String, String> {
        listed.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
    }

    #[test]
    fn only_migrations_that_were_added_are_gone_forward_from() {
        let from =
            files(&[("db/migrate/1.rb", "a"), ("db/seeds.rb", "s"), ("db/schema.rb", "1"), ("Gemfile.lock", "l")]);
        let with = |path: &str, content: &str| {
            let mut to = from.clone();
            to.insert(path.to_owned(), content.to_owned());
            goes_forward(&from, &to).unwrap()
        };
        assert!(with("db/migrate/2.rb", "b") && with("db/schema.rb", "2") && with("Gemfile.lock", "m"));
        assert!(with("backend/db/queue_migrate/2.rb", "b") && with("app/migrations/0002.py", "b"));
        for (path, content) in
            [("db/migrate/1.rb", "other"), ("db/seeds.rb", "t"), ("db/seeds/more.rb", "x"), ("bin/setup", "x")]
        {
            assert!(!with(path, content), "{path}");
        }
        let mut less = from.clone();
        less.remove("db/migrate/1.rb");
        assert!(!goes_forward(&from, &less).unwrap());
    }

    #[test]
    fn migrations_seeds_and_lock_files_shape_the_data_and_the_rest_does_not() {
        let shaping = [
            "db/migrate/1.rb",
            "db/schema.rb",
            "db/queue_schema.rb",
            "db/structure.sql",
            "db/seeds.rb",
            "db/seeds/users.rb",
            "prisma/schema.prisma",
            "prisma/migrations/1/migration.sql",
            "prisma/seed.ts",
            "blog/migrations/0001_initial.py",
            "database/seeders/Users.php",
            "priv/repo/migrations/1.exs",
            "Gemfile.lock",
            "Cargo.lock",
            "web/pnpm-lock.yaml",
            "bun.lockb",
        ];
        let others = ["README.md", "app/models/user.rb", "test/fixtures/users.yml", "config/database.yml", "db/other"];
        let tree = |paths: &[&str]| paths.iter().map(|&path| (path.to_owned(), "1".to_owned())).collect::<Vec<_>>();
        let all = tree(&[&shaping[..], &others].concat());
        let of = |files: &[(String, String)], data_files: &Spared| {
            shaping_among(files, data_files).unwrap().into_keys().collect::<Vec<_>>()
        };
        let usual = Settings::defaults().data_files;
        let mut sorted = shaping.map(str::to_owned);
        sorted.sort();
        assert_eq!(of(&all, &usual), sorted);
        // What the settings add.
        assert!(of(&all, &usual.clone().and(["db/other".to_owned()])).contains(&"db/other".to_owned()));
        // Lock files and schemas alone say nothing of what makes the data.
        let unknown = tree(&["README.md", "Gemfile.lock", "db/schema.rb"]);
        assert_eq!(of(&unknown, &usual).len(), 3);
    }

    #[test]
    fn one_shape_in_two_repositories_is_two() {
        let shape = files(&[("db/schema.rb", "1")]);
        assert_eq!(key("/a", "b", &shape), key("/a", "b", &shape));
        assert_ne!(key("/a", "b", &shape), key("/c", "b", &shape));
        assert_ne!(key("/a", "b", &shape), key("/a", "b", &files(&[("db/schema.rb", "2")])));
    }
}
