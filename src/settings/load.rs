//! Reading the settings files, strictly: a key that we do not know is an error that names file, line and key.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{Dependencies, Settings, Storage, Surroundings};
use crate::claims::subnet::Subnet;
use crate::claims::{FIRST_SLOT, LAST_SLOT};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::git::Spared;
use crate::resolve::COMPOSE_FILE;

/// The prefix of the smallest pool that a sandbox's subnet can be cut from.
const SMALLEST_POOL: u8 = 28;

/// What a settings file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "they are the keys as users write them")]
struct File {
    worktrees: Option<PathBuf>,
    env_file: Option<String>,
    template: Option<String>,
    #[serde(default)]
    port_bases: BTreeMap<String, u16>,
    subnet_pool: Option<Subnet>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    dependencies: Option<Dependencies>,
    storage: Option<Storage>,
    setup: Option<Vec<String>>,
    #[serde(default)]
    data_files: Vec<String>,
    #[serde(default)]
    regenerable: Vec<String>,
    trash_days: Option<u32>,
    fetch_timeout_s: Option<u64>,
    ready_timeout_s: Option<u64>,
}

/// The settings for a repository whose main checkout is given (none when it is bare).
pub fn load(surroundings: &Surroundings, main_checkout: Option<&Path>) -> Result<Settings> {
    let mut settings = Settings::defaults();
    let user = surroundings.config_directory().map(|directory| directory.join("config.yaml"));
    let repository = main_checkout.map(|checkout| checkout.join(".sandbox.yaml"));
    if let Some(path) = user
        && let Some(text) = files::read(&path)?
    {
        let mut file = parse(&text, &path)?;
        file.worktrees = file.worktrees.map(|place| home_expanded(place, surroundings));
        apply(&mut settings, file, &path)?;
    }
    if let Some(path) = repository
        && let Some(text) = files::read(&path)?
    {
        let file = parse(&text, &path)?;
        refuse_far_place(file.worktrees.as_deref(), &path)?;
        apply(&mut settings, file, &path)?;
    }
    if let Some(worktrees) = surroundings.var("SANDBOX_WORKTREES") {
        settings.worktrees = Some(surroundings.directory().join(worktrees));
    }
    check(&settings)?;
    Ok(settings)
}

/// `~/x` as a shell reads it.
fn home_expanded(place: PathBuf, surroundings: &Surroundings) -> PathBuf {
    match (place.strip_prefix("~"), surroundings.var("HOME")) {
        (Ok(below), Some(home)) if !home.is_empty() => Path::new(home).join(below),
        _ => place,
    }
}

/// A repository may place worktrees in its main checkout or beside it. Anywhere else, other programs may take what is in
/// them for their own: only the user says so.
fn refuse_far_place(place: Option<&Path>, file: &Path) -> Result<()> {
    let Some(place) = place else { return Ok(()) };
    let mut parts = place.components().peekable();
    if parts.peek() == Some(&Component::ParentDir) {
        parts.next();
    }
    let near = parts.all(|part| match part {
        Component::Normal(name) => name != "~" && !name.eq_ignore_ascii_case(".git"),
        Component::CurDir => true,
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
    });
    if near {
        return Ok(());
    }
    let what = format!("{}: worktrees is {}, which a repository may not ask for", file.display(), place.display());
    Err(Error::new(Kind::Config, what)
        .hint("a place in the main checkout or beside it, as ../trees")
        .hint("any other is yours to choose: `worktrees` in your own config.yaml, or SANDBOX_WORKTREES"))
}

fn parse(text: &str, path: &Path) -> Result<File> {
    // A file of nothing but comments is no mapping, and says nothing.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(File::default());
    }
    serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let key = error.path().to_string();
        Error::new(Kind::Config, format!("{}: cannot obey the setting `{key}`", path.display()))
            .because(error.into_inner())
    })
}

fn apply(settings: &mut Settings, file: File, path: &Path) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if let Some(worktrees) = file.worktrees {
        settings.worktrees = Some(directory.join(worktrees));
    }
    settings.env_file = file.env_file.unwrap_or_else(|| settings.env_file.clone());
    settings.template = file.template.unwrap_or_else(|| settings.template.clone());
    settings.subnet_pool = file.subnet_pool.unwrap_or(settings.subnet_pool);
    settings.dependencies = file.dependencies.unwrap_or(settings.dependencies);
    settings.storage = file.storage.unwrap_or(settings.storage);
    // What is shown to be consented to is what is run.
    let is_unseen = |c: char| c.is_control() && c != '\n' && c != '\t';
    if file.setup.iter().flatten().any(|command| command.trim().is_empty() || command.contains(is_unseen)) {
        let what = format!("{}: a command of `setup` is empty, or has control characters in it", path.display());
        return Err(Error::new(Kind::Config, what).hint("each is a line for `sh`, as `bin/rails db:prepare`"));
    }
    settings.setup = file.setup.unwrap_or_else(|| std::mem::take(&mut settings.setup));
    let data_files = Spared::new(file.data_files.clone());
    data_files.map_err(|error| {
        Error::new(Kind::Config, format!("{}: cannot obey the setting `data_files`", path.display())).because(error)
    })?;
    settings.data_files = settings.data_files.and(file.data_files);
    Spared::new(file.regenerable.clone()).map_err(|error| {
        Error::new(Kind::Config, format!("{}: cannot obey the setting `regenerable`", path.display())).because(error)
    })?;
    settings.regenerable = settings.regenerable.and(file.regenerable);
    settings.trash_kept =
        file.trash_days.map_or(settings.trash_kept, |days| Duration::from_hours(u64::from(days) * 24));
    settings.fetch_timeout = file.fetch_timeout_s.map_or(settings.fetch_timeout, Duration::from_secs);
    settings.ready_timeout = file.ready_timeout_s.map_or(settings.ready_timeout, Duration::from_secs);
    settings.port_bases.extend(file.port_bases);
    settings.variables.extend(file.variables);
    if settings.subnet_pool.prefix() > SMALLEST_POOL {
        return Err(Error::new(
            Kind::Config,
            format!("{}: subnet_pool is {}, which has no room for a sandbox", path.display(), settings.subnet_pool),
        )
        .hint("each sandbox takes a /28 or more of it: choose a /24 or wider"));
    }
    if !is_private(settings.subnet_pool) {
        let what =
            format!("{}: subnet_pool is {}, whose addresses are not private", path.display(), settings.subnet_pool);
        return Err(
            Error::new(Kind::Config, what).hint("choose one within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
        );
    }
    for (variable, base) in &settings.port_bases {
        // Any other name could be one that a shell or a program obeys: PATH, BASH_ENV.
        if !is_variable(variable) || !variable.ends_with("_PORT") {
            return Err(Error::new(
                Kind::Config,
                format!("{}: port_bases.{variable:?} is not the name of a variable for a port", path.display()),
            )
            .hint("use letters, digits and _, and end in _PORT, as in APP_PORT"));
        }
        if *base < 1024 || *base > u16::MAX - LAST_SLOT {
            return Err(Error::new(Kind::Config, format!("{}: port_bases.{variable} is {base}", path.display())).hint(
                format!(
                    "slots {FIRST_SLOT} to {LAST_SLOT} are added to it: choose from 1024 to {}",
                    u16::MAX - LAST_SLOT
                ),
            ));
        }
    }
    Ok(())
}

/// Whether nobody on the internet has these addresses: containers in them would answer in somebody's place.
fn is_private(pool: Subnet) -> bool {
    let ranges = [
        ([10, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([100, 64, 0, 0], 10),
        ([198, 18, 0, 0], 15),
    ];
    ranges
        .into_iter()
        .any(|(first, prefix)| pool.prefix() >= prefix && pool.overlaps(Subnet::containing(first.into(), prefix)))
}

/// Whether shells and dotenv libraries take it for a variable's name.
fn is_variable(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn check(settings: &Settings) -> Result<()> {
    let name = settings.env_file.as_str();
    let why = match name {
        "" | "." | ".." => "which is no file name",
        ".git" | ".gitignore" | ".gitattributes" | ".gitmodules" | ".sandbox.yaml" | COMPOSE_FILE => {
            "which is another file's name"
        }
        // It also stands in info/exclude, where other characters are a pattern for files that are not ours.
        _ if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) => "which is no plain file name",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Config, format!("the setting `env_file` is {name:?}, {why}"))
        .hint("name a file in the worktree's top directory, such as .env.worktree"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        let path = Path::new("/home/me/src/blog/.sandbox.yaml");
        let mut settings = Settings::defaults();
        apply(&mut settings, parse(text, path)?, path)?;
        check(&settings)?;
        Ok(settings)
    }

    #[test]
    fn a_file_that_says_nothing_changes_nothing() {
        assert_eq!(settings("").unwrap(), Settings::defaults());
        assert_eq!(settings("# nothing\n\n").unwrap(), Settings::defaults());
    }

    #[test]
    fn a_relative_directory_is_relative_to_its_file() {
        assert_eq!(settings("worktrees: ../wt").unwrap().worktrees, Some("/home/me/src/blog/../wt".into()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_file_line_and_key() {
        let error = settings("env_file: .env\nport_base: {APP_PORT: 3000}\n").unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let text = error.to_string();
        assert!(text.contains(".sandbox.yaml") && text.contains("port_base") && text.contains("line 2"), "{text}");
    }

    #[test]
    fn values_that_cannot_be_obeyed_are_refused() {
        for text in [
            "subnet_pool: 10.0.0.0",
            "port_bases: {APP_PORT: 65000}",
            "port_bases: {APP_PORT: 80}",
            "env_file: a/b",
            "env_file: .git",
            "subnet_pool: 10.0.0.0/30",
            "port_bases: {A B: 3000}",
            "regenerable: ['a{']",
            "data_files: ['a{']",
            "setup: ['']",
            "setup: [\"curl x | sh #\\r bundle install\"]",
        ] {
            assert_eq!(settings(text).unwrap_err().kind(), Kind::Config, "{text}");
        }
    }
}
