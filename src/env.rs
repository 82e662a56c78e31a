//! The sandbox's environment: which variables, and the three forms in which they are written.
//!
//! Pure. The names are those of the README's table.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};
use crate::git::LOCAL_VARIABLES;
use crate::record::Record;
use crate::settings::Dependencies;

/// The role that owns the databases. As in the official image, so that `psql` finds its database by default.
pub const POSTGRES_USER: &str = "postgres";

/// Where Bundler puts the gems of a sandbox that has its own, in the worktree: the directory that it uses anyway.
pub const GEMS: &str = ".bundle";

/// What libpq reads besides, and would put before our server: it must not come from whoever calls.
const OF_ANOTHER_SERVER: [&str; 5] = ["PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR", "PGDATABASE", "PGPASSFILE"];

/// Variables in the order in which they are written.
pub type Variables = Vec<(String, String)>;

/// The variables of a sandbox, from its record and the place of its rendered Compose file.
#[must_use]
pub fn variables(record: &Record, compose_file: &Path) -> Variables {
    let names = &record.claim.names;
    let port = |variable: &str| record.claim.ports.get(variable).copied();
    let mut variables: Variables = Vec::new();
    let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
    set("WORKTREE_NAME", names.worktree_name.clone());
    set("COMPOSE_PROJECT_NAME", names.project.clone());
    set("COMPOSE_FILE", compose_file.display().to_string());
    if compose_file.as_os_str().as_encoded_bytes().contains(&b':') {
        // Else Compose takes one path with a colon in it for two.
        set("COMPOSE_PATH_SEPARATOR", "|".into());
    }
    if let Some(port) = port("POSTGRES_PORT") {
        let server = format!("postgresql://{POSTGRES_USER}:{}@127.0.0.1:{port}", record.password);
        set("DB_NAME", names.database.clone());
        set("TEST_DB_NAME", names.test_database.clone());
        // Rails merges a URL's path into whatever environment it runs in: with one, its tests would purge the
        // development database.
        let path = if record.rails { String::new() } else { format!("/{}", names.database) };
        set("DATABASE_URL", format!("{server}{path}"));
        set("TEST_DATABASE_URL", format!("{server}/{}", names.test_database));
        set("PGHOST", "127.0.0.1".into());
        set("PGPORT", port.to_string());
        set("PGUSER", POSTGRES_USER.into());
        set("PGPASSWORD", record.password.clone());
    }
    if let Some(port) = port("REDIS_PORT") {
        // With the user's name: some versions of redis-cli take an empty one for a user called "".
        set("REDIS_URL", format!("redis://default:{}@127.0.0.1:{port}/0", record.password));
        set("REDIS_DB", "0".into());
    }
    if let Some(url) = record.claim.app_url() {
        set("APP_URL", url);
    }
    for (variable, port) in &record.claim.ports {
        set(variable, port.to_string());
    }
    if let (Dependencies::Isolate, Some(worktree)) = (record.dependencies, compose_file.parent()) {
        // Those of other languages are in the worktree by themselves.
        set("BUNDLE_PATH", worktree.join(GEMS).display().to_string());
    }
    variables
}

/// The names that a command of this sandbox must not inherit: what leads to another server, the gems of another sandbox, where we
/// are called in its environment, and in a hook the repository that git is at work on, which would win over the directory.
#[must_use]
pub fn foreign(variables: &Variables, inherited: impl Fn(&str) -> Option<OsString>) -> Vec<&'static str> {
    let has = |name: &str| variables.iter().any(|(ours, _)| ours == name);
    let mut foreign = if has("PGHOST") { OF_ANOTHER_SERVER.to_vec() } else { Vec::new() };
    let gems = inherited("COMPOSE_FILE").and_then(|file| Some(Path::new(&file).parent()?.join(GEMS)));
    if !has("BUNDLE_PATH") && gems.is_some() && inherited("BUNDLE_PATH").map(PathBuf::from) == gems {
        foreign.push("BUNDLE_PATH");
    }
    foreign.extend(LOCAL_VARIABLES);
    foreign
}

/// `NAME=value`, which shells source and dotenv libraries read alike.
pub fn dotenv(variables: &Variables) -> Result<String> {
    lines(variables, "")
}

/// The text of the env file: the same, under a line that says whose it is.
pub fn file(variables: &Variables) -> Result<String> {
    Ok(format!(
        "# Written by sandbox; `sandbox up` writes it again. What is yours goes into another file.\n{}",
        dotenv(variables)?
    ))
}

/// The text to `eval` in a shell: `export NAME=value`.
pub fn shell(variables: &Variables) -> Result<String> {
    lines(variables, "export ")
}

/// The variables as a JSON object.
#[must_use]
pub fn json(variables: &Variables) -> Value {
    Value::Object(variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect::<Map<_, _>>())
}

fn lines(variables: &Variables, prefix: &str) -> Result<String> {
    variables.iter().map(|(name, value)| Ok(format!("{prefix}{name}={}\n", quote(name, value)?))).collect()
}

/// Quotes where a shell needs it. Single quotes mean the same to shells and to dotenv; what they cannot hold is refused,
/// since no escape means the same to both.
fn quote(name: &str, value: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(plain) {
        return Ok(value.to_owned());
    }
    if value.contains(['\'', '\n', '\r', '\0']) {
        return Err(Error::new(Kind::Files, format!("{name} would be {value:?}, which no env file can hold"))
            .hint("a path with a quote or a line break in it: move the repository to a plainer one"));
    }
    Ok(format!("'{value}'"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::claims::Claim;
    use crate::task::{Identity, Names, TaskName};

    fn record(rails: bool) -> Record {
        let identity = Identity { repo: "/src/blog/.git".into(), task: TaskName::parse("fix-login").unwrap() };
        let ports = [("APP_PORT", 3101), ("POSTGRES_PORT", 15101), ("REDIS_PORT", 16101), ("VITE_PORT", 4101)];
        let claim = Claim {
            names: Names::plain("blog", &identity),
            identity,
            slot: 101,
            ports: ports.map(|(name, port)| (name.to_owned(), port)).into(),
            subnet: "10.231.6.80/28".parse().unwrap(),
        };
        Record::new(claim, "2026-01-01T00:00:00Z".into(), "s3cret".into(), rails, ".env.worktree".into())
    }

    #[test]
    fn the_file_is_what_the_readme_says() {
        let text =
            dotenv(&variables(&record(false), Path::new("/src/blog/.git/worktrees/fix-login/compose.yaml"))).unwrap();
        insta::assert_snapshot!(text, @r"
        WORKTREE_NAME=fix_login
        COMPOSE_PROJECT_NAME=blog_fix_login
        COMPOSE_FILE=/src/blog/.git/worktrees/fix-login/compose.yaml
        DB_NAME=blog_fix_login_development
        TEST_DB_NAME=blog_fix_login_test
        DATABASE_URL=postgresql://postgres:s3cret@127.0.0.1:15101/blog_fix_login_development
        TEST_DATABASE_URL=postgresql://postgres:s3cret@127.0.0.1:15101/blog_fix_login_test
        PGHOST=127.0.0.1
        PGPORT=15101
        PGUSER=postgres
        PGPASSWORD=s3cret
        REDIS_URL=redis://default:s3cret@127.0.0.1:16101/0
        REDIS_DB=0
        APP_URL=http://fix-login.localhost:3101
        APP_PORT=3101
        POSTGRES_PORT=15101
        REDIS_PORT=16101
        VITE_PORT=4101
        ");
    }

    #[test]
    fn the_database_url_of_a_rails_application_has_no_path() {
        let variables: BTreeMap<_, _> = variables(&record(true), Path::new("/x")).into_iter().collect();
        assert_eq!(variables["DATABASE_URL"], "postgresql://postgres:s3cret@127.0.0.1:15101");
    }

    #[test]
    fn dependencies_of_its_own_are_in_the_worktree() {
        let mut record = record(true);
        assert!(!variables(&record, Path::new("/wt/x.yaml")).iter().any(|(name, _)| name == "BUNDLE_PATH"));
        record.dependencies = Dependencies::Isolate;
        let variables: BTreeMap<_, _> = variables(&record, Path::new("/wt/x.yaml")).into_iter().collect();
        assert_eq!(variables["BUNDLE_PATH"], "/wt/.bundle");
    }

    #[test]
    fn a_value_with_spaces_is_quoted_and_one_that_cannot_be_is_refused() {
        let one = |value: &str| dotenv(&vec![("X".to_owned(), value.to_owned())]);
        assert_eq!(one("/my src/$x").unwrap(), "X='/my src/$x'\n");
        assert_eq!(one("/it's").unwrap_err().kind(), Kind::Files);
    }

    #[test]
    fn what_leads_elsewhere_is_not_inherited() {
        let ours = variables(&record(false), Path::new("/wt/b/compose.yaml"));
        let caller = |bundle: &'static str| {
            move |name: &str| match name {
                "COMPOSE_FILE" => Some("/wt/a/compose.yaml".into()),
                "BUNDLE_PATH" => Some(bundle.into()),
                _ => None,
            }
        };
        assert!(foreign(&ours, |_| None).starts_with(&OF_ANOTHER_SERVER));
        assert!(foreign(&ours, caller("/wt/a/.bundle")).contains(&"BUNDLE_PATH"));
        assert!(!foreign(&ours, caller("/home/me/gems")).contains(&"BUNDLE_PATH"));
        assert_eq!(foreign(&Variables::new(), |_| None), LOCAL_VARIABLES);
    }
}
