//! Building an image with the engine's classic builder.

use std::collections::BTreeMap;

use bollard::{body_full, query_parameters::BuildImageOptions};
use futures::StreamExt;

use super::{
    deadline,
    docker::{Engine, next_within},
    failure::Failure,
    progress::Progress,
};
use crate::{
    error::{Error, Kind, Result},
    event::Ticker,
};

/// An image to be built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSpec {
    /// The reference it gets.
    pub tag: String,
    /// The recipe's path within the context; `Dockerfile` unless said otherwise.
    pub dockerfile: Option<String>,
    /// The stage at which to stop.
    pub target: Option<String>,
    /// Values for the recipe's `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// Labels for the image.
    pub labels: BTreeMap<String, String>,
    /// The network of `RUN` steps, as `host`; the default bridge unless said otherwise.
    pub network: Option<String>,
    /// Whether layers of earlier builds are left alone.
    pub no_cache: bool,
}

impl Engine {
    /// Builds an image from a context, a tar archive; ticks in steps, with each line of output.
    ///
    /// Errors: [`Kind::Image`], with the last lines of the build's output.
    pub async fn build(&self, context: Vec<u8>, spec: &BuildSpec, ticker: &Ticker) -> Result<()> {
        let act = format!("cannot build image {}", spec.tag);
        let mut progress = Progress::default();
        let mut messages = self.docker.build_image(options(spec), None, Some(body_full(context.into()))).boxed();
        loop {
            let step = match next_within(deadline::BUILD_SILENCE, &mut messages).await {
                // A false alarm at the very end of the stream reads as an error; the image itself decides.
                Ok(None) | Err(Failure::Away(bollard::errors::Error::IOError { .. }) | Failure::Garbled(_)) => break,
                Ok(Some(message)) => progress.take(message, ticker),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = step {
                return Err(progress.into_error(failure, &act));
            }
        }
        let built = progress.tail().any(|line| line.starts_with("Successfully built"));
        match self.image(&spec.tag).await? {
            Some(_) if built => Ok(()),
            _ => Err(Error::new(Kind::Image, act).because("the build ended without an image")),
        }
    }
}

fn options(spec: &BuildSpec) -> BuildImageOptions {
    BuildImageOptions {
        t: Some(spec.tag.clone()),
        dockerfile: spec.dockerfile.clone().unwrap_or_else(|| "Dockerfile".to_owned()),
        target: spec.target.clone().unwrap_or_default(),
        buildargs: Some(spec.build_args.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        networkmode: spec.network.clone(),
        nocache: spec.no_cache,
        rm: true,
        forcerm: true,
        ..Default::default()
    }
}
