//! `sandbox doctor`

use serde::Serialize;

use super::Context;
use crate::catalog::RECIPES;
use crate::claims::subnet::{Subnet, host_routes};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::report;
use crate::settings::Storage;
use crate::site::Site;
use crate::storage::Kept;

/// Check that everything a sandbox needs is here.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

#[derive(Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    found: String,
    hints: Vec<String>,
    #[serde(skip)]
    kind: Option<Kind>,
}

/// Runs the verb. Ends with the exit code of the first check that failed.
pub async fn run(_args: &Args, context: &Context) -> Result<u8> {
    let mut checks = Vec::new();
    let site = context.site();
    checks.push(match &site {
        // Whoever has just installed it stands anywhere.
        Err(error) if error.kind() == Kind::Repository => {
            warning("repository", error.to_string(), "stand in a git repository to check that too")
        }
        site => check("repository", site.as_ref().map(|site| site.repo.common_dir().display().to_string())),
    });
    if let Ok(site) = &site {
        checks.push(git(site).await);
        let registry = site.claims.check_writable().and_then(|()| site.claims.read());
        checks.push(check("claims", registry.as_ref().map(|registry| format!("{} held", registry.claims.len()))));
    }
    let engine = context.engine().await;
    match &engine {
        Ok(engine) => checks.extend(of_engine(engine, site.as_ref().ok()).await),
        Err(error) => checks.push(failed("engine", error)),
    }
    if context.globals.json {
        report::document("checks", &checks)?;
    } else {
        report::data(&checks.iter().map(line).collect::<String>())?;
    }
    Ok(checks.iter().find_map(|check| check.kind).map_or(0, Kind::exit_code))
}

fn check(what: &'static str, found: std::result::Result<String, &Error>) -> Check {
    match found {
        Ok(found) => Check { what, verdict: Verdict::Ok, found, hints: Vec::new(), kind: None },
        Err(error) => failed(what, error),
    }
}

fn failed(what: &'static str, error: &Error) -> Check {
    Check {
        what,
        verdict: Verdict::Failed,
        found: error.to_string(),
        hints: error.hints().to_vec(),
        kind: Some(error.kind()),
    }
}

fn warning(what: &'static str, found: String, hint: &str) -> Check {
    Check { what, verdict: Verdict::Warning, found, hints: vec![hint.to_owned()], kind: None }
}

async fn git(site: &Site) -> Check {
    let version = match site.repo.check_version().await {
        Ok(()) => site.repo.version().await,
        Err(error) => Err(error),
    };
    check("git", version.as_ref().map(|(major, minor, patch)| format!("{major}.{minor}.{patch}")))
}

async fn of_engine(engine: &Engine, site: Option<&Site>) -> Vec<Check> {
    let mut checks = Vec::new();
    let facts = engine.facts().await;
    checks.push(check(
        "engine",
        facts
            .as_ref()
            .map(|facts| format!("{} at {}, {}", facts.version, engine.socket().display(), facts.storage_driver)),
    ));
    checks.extend(storage(engine, site.map(|site| site.settings.storage).unwrap_or_default()).await);
    match engine.networks().await {
        Ok(networks) => {
            let loopback = engine.check_loopback(&networks).await;
            checks.push(check(
                "loopback",
                loopback.as_ref().map(|()| "ports of containers are ours to reach".to_owned()),
            ));
        }
        Err(error) => checks.push(failed("loopback", &error)),
    }
    if let Some(site) = site {
        checks.push(pool(site.settings.subnet_pool));
    }
    for recipe in RECIPES {
        let here = async |reference: &str| matches!(engine.image(reference).await, Ok(Some(_)));
        let tag = recipe.tag();
        checks.push(match (here(recipe.stands_in_for).await, here(&tag).await) {
            (true, _) => check("image", Ok(recipe.stands_in_for.to_owned())),
            (false, true) => check("image", Ok(format!("{tag}, in place of {}", recipe.stands_in_for))),
            (false, false) => warning(
                "image",
                format!("{} is not here yet", recipe.stands_in_for),
                "the first `up` pulls it, or builds a stand-in: `sandbox images build` does so now",
            ),
        });
    }
    checks
}

/// Where data is kept, and what that costs; nothing where it cannot be told.
async fn storage(engine: &Engine, storage: Storage) -> Option<Check> {
    let kept = Kept::look(engine, storage).await.ok()??;
    let hints = kept.hint().map(str::to_owned).into_iter().collect();
    Some(Check { what: "storage", verdict: Verdict::Ok, found: kept.in_words(), hints, kind: None })
}

fn pool(pool: Subnet) -> Check {
    match host_routes().into_iter().find(|route| route.overlaps(pool) && !is_inside(*route, pool)) {
        None => check("subnets", Ok(format!("{pool} is free of host routes"))),
        Some(route) => warning(
            "subnets",
            format!("the host route {route} covers the pool {pool}"),
            "set `subnet_pool` in the settings to another range",
        ),
    }
}

/// Routes inside the pool are those of our own networks, or are stepped around.
fn is_inside(route: Subnet, pool: Subnet) -> bool {
    route != pool && pool.overlaps(route) && route.prefix() > pool.prefix()
}

fn line(check: &Check) -> String {
    let mark = match check.verdict {
        Verdict::Ok => "ok     ",
        Verdict::Warning => "warning",
        Verdict::Failed => "FAILED ",
    };
    let hints: Vec<String> = check.hints.iter().map(|hint| format!("         hint: {hint}\n")).collect();
    format!("{mark}  {}: {}\n{}", check.what, check.found, hints.concat())
}
