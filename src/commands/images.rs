//! `sandbox images ls|build`

use std::path::PathBuf;

use serde::Serialize;

use super::Context;
use crate::apply::{Setback, World, apply};
use crate::catalog::{self, RECIPES, Recipe};
use crate::claims::file::ClaimsFile;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::images;
use crate::plan::observed::Scope;
use crate::plan::{Action, Cause, Observed, OnFailure, Plan};
use crate::report::{self, Table};

/// List and build the images that sandboxes run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the templates' images and our stand-ins for them
    Ls,
    /// Build our stand-ins from Debian packages
    Build {
        /// Which; those of the templates when none is named
        #[arg(value_name = "RECIPE")]
        recipes: Vec<String>,
    },
}

#[derive(Serialize)]
struct Row {
    image: String,
    role: String,
    present: bool,
    size_bytes: Option<u64>,
}

/// The little of the world that building needs: an engine, and a place for its lock. No repository.
struct Workshop<'a> {
    engine: &'a Engine,
    locks: PathBuf,
}

impl World for Workshop<'_> {
    async fn observe(&self, _scope: &Scope) -> Result<Observed> {
        Ok(Observed::default())
    }

    async fn perform(&self, action: &Action, ticker: &Ticker) -> Result<(), Setback> {
        let recipe = match action {
            Action::Build { tag } => catalog::recipe_tagged(tag),
            _ => None,
        };
        let recipe = recipe.ok_or_else(|| Error::new(Kind::Unexpected, format!("cannot {action} here")))?;
        Ok(images::build(self.engine, recipe, &self.locks, ticker).await?)
    }
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let engine = context.engine().await?;
    match &args.verb {
        Verb::Ls => ls(&engine, context).await,
        Verb::Build { recipes } => build(&engine, recipes, context).await,
    }
}

async fn ls(engine: &Engine, context: &Context) -> Result<()> {
    let mut rows = Vec::new();
    for recipe in RECIPES {
        rows.push(row(engine, recipe.stands_in_for.to_owned(), "official".into()).await?);
        rows.push(row(engine, recipe.tag(), format!("stands in for {}", recipe.stands_in_for)).await?);
    }
    rows.push(row(engine, catalog::POOL.tag(), "for `sandbox pool`".into()).await?);
    if context.globals.json {
        return report::document("images", &rows);
    }
    let mut table = Table::new(&["IMAGE", "ROLE", "HERE", "SIZE"]);
    for row in rows {
        let here = if row.present { "yes" } else { "no" };
        table.row(&[row.image, row.role, here.into(), row.size_bytes.map(report::size).unwrap_or_default()]);
    }
    report::data(&table.text())
}

async fn row(engine: &Engine, image: String, role: String) -> Result<Row> {
    let found = engine.image(&image).await?;
    Ok(Row { image, role, present: found.is_some(), size_bytes: found.map(|image| image.size_bytes) })
}

async fn build(engine: &Engine, names: &[String], context: &Context) -> Result<()> {
    let recipes = chosen(names)?;
    let mut plan = Plan::new("images", OnFailure::StopBeginning);
    for recipe in &recipes {
        if engine.image(&recipe.tag()).await?.is_none() {
            plan.add(Action::Build { tag: recipe.tag() }, Cause::Requested, &[]);
        }
    }
    let workshop = Workshop { engine, locks: ClaimsFile::new(context.surroundings.state_directory()?).locks() };
    apply(&workshop, &plan, &context.events, context.stop.clone()).await.into_result()?;
    let tags: Vec<String> = recipes.iter().map(|recipe| recipe.tag()).collect();
    if context.globals.json {
        report::document("built", &tags)
    } else {
        report::data(&format!("{}\n", tags.join("\n")))
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Recipe>> {
    if names.is_empty() {
        return Ok(RECIPES.iter().collect());
    }
    let all = || RECIPES.iter().chain([&catalog::POOL]);
    let find = |name: &String| {
        let known: Vec<&str> = all().map(|recipe| recipe.name).collect();
        all().find(|recipe| recipe.name == name).ok_or_else(|| {
            Error::new(Kind::Usage, format!("there is no recipe {name}")).hint(format!("recipes: {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}
