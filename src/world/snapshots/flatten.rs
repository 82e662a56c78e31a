//! Many layers become one: the options of a mount are one page.

use super::copies::Copying;
use super::sweep::path_label;
use crate::engine::labels;
use crate::error::Result;
use crate::event::Ticker;
use crate::plan::action::FlattenSpec;
use crate::snapshot::is_pooled;
use crate::world::{Real, pool};

/// Puts the content of layers into a new one. While it is made nobody stands on it: killed, it is swept as what a clone wrote
/// that is gone.
pub(in crate::world) async fn flatten(world: &Real<'_>, spec: &FlattenSpec, ticker: &Ticker) -> Result<()> {
    let engine = world.engine;
    let mut flat = spec.flat.clone();
    flat.labels.insert(labels::LOCK.to_owned(), path_label(&world.site.lock_path(&spec.of)));
    if is_pooled(&flat.name) {
        pool::make_layer(engine, &flat.name).await?;
    }
    engine.create_volume(&flat).await?;
    let copied = Copying {
        name: &format!("{}_copy", flat.name),
        image: &spec.image,
        labels: &labels::owned_by(&spec.of),
        layers: &spec.layers,
        view: Some(&spec.view),
        to: &flat.name,
    };
    let copied = copied.run(engine, ticker).await;
    if copied.is_err() {
        pool::remove_volume(engine, &flat.name).await?;
    }
    copied
}
