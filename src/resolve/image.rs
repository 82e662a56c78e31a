//! Which image each service runs: its own where it is here, else a stand-in of ours where that is known to be needed.

use crate::apply::Setback;
use crate::catalog;
use crate::compose::Project;
use crate::converge::Learnt;
use crate::engine::Engine;
use crate::error::Result;
use crate::record::Record;

/// Puts the image to be used into each service. One that is to be had nowhere is an error.
pub(super) async fn choose(engine: &Engine, record: &Record, project: &mut Project, learnt: &Learnt) -> Result<()> {
    for (name, service) in &mut project.services {
        let Some(reference) = service.image.clone() else { continue };
        let recipe = catalog::stand_in(&reference);
        // A data directory stays with the image that made it, as long as that is here: also one of an older recipe.
        if let (Some(recipe), Some(used)) = (recipe, record.images.get(name))
            && recipe.has_made(used)
            && engine.image(used).await?.is_some()
        {
            service.image = Some(used.clone());
            continue;
        }
        let stand_in = recipe.map(catalog::Recipe::tag);
        if engine.image(&reference).await?.is_some() {
            continue;
        }
        let why = learnt.images.get(&reference);
        service.image = match (stand_in, why) {
            (Some(tag), Some(_)) => Some(tag),
            (Some(tag), None) if engine.image(&tag).await?.is_some() => Some(tag),
            (None, Some(why)) => {
                return Err(
                    Setback::NoImage { reference, why: why.clone() }.into_error(record.claim.identity.task.as_str())
                );
            }
            (_, None) => Some(reference),
        };
    }
    Ok(())
}
