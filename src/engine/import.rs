//! Images made from archives: a root file system, or images that were saved.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use bollard::{
    body_full, body_try_stream,
    query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder},
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    deadline,
    docker::{Engine, next_within},
    failure::Failure,
    progress::Progress,
    reference,
};
use crate::{
    error::{Error, Kind, Result},
    event::Ticker,
};

/// What is read at a time.
const CHUNK: usize = 256 * 1024;

impl Engine {
    /// Makes an image of one layer from a root file system, a tar archive; ticks in bytes read.
    ///
    /// `changes` are lines of a recipe: `ENV`, `CMD`, `LABEL` and their like.
    ///
    /// Errors: [`Kind::Image`], also when the archive cannot be read to its end: no image is made then.
    pub async fn import(
        &self,
        root: impl AsyncRead + Send + Unpin + 'static,
        tag: &str,
        changes: &[String],
        ticker: &Ticker,
    ) -> Result<()> {
        let act = format!("cannot import image {tag}");
        let (name, version) = reference::split(tag);
        let options =
            CreateImageOptionsBuilder::new().from_src("-").repo(name).tag(version).changes(changes.to_vec()).build();
        let unreadable = Arc::new(OnceLock::new());
        let body = body_try_stream(chunks(root, ticker.clone(), Arc::clone(&unreadable)));
        let mut messages = self.docker.create_image(Some(options), Some(body), None).boxed();
        loop {
            match next_within(deadline::LOAD_SILENCE, &mut messages).await {
                Ok(None) => break,
                Ok(Some(message)) => {
                    if let Some(trouble) = message.error_detail.and_then(|detail| detail.message) {
                        return Err(Error::new(Kind::Image, act).because(trouble));
                    }
                }
                // To the client library a source that fails is a connection that fails.
                Err(failure) => {
                    return Err(unreadable.get().map_or_else(
                        || failure.into_error_of(Kind::Image, &act),
                        |cause: &String| {
                            Error::new(Kind::Image, format!("{act}: the archive ended early")).because(cause.clone())
                        },
                    ));
                }
            }
        }
        match self.image(tag).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::Image, act).because("the engine took the archive and made no image")),
        }
    }

    /// Takes in images that were saved (`docker save`, or a docker-archive made by hand), a tar archive. Some 100 ms
    /// for a small one. The references that they brought.
    pub async fn load(&self, archive: Vec<u8>) -> Result<Vec<String>> {
        let act = "cannot load images";
        let mut progress = Progress::default();
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut messages = self.docker.import_image(options, body_full(archive.into()), None).boxed();
        loop {
            let step = match next_within(deadline::LOAD_SILENCE, &mut messages).await {
                Ok(None) => break,
                Ok(Some(message)) => progress.take(message, &Ticker::null()),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = step {
                return Err(progress.into_error(failure, act));
            }
        }
        let loaded: Vec<String> = progress
            .tail()
            .filter_map(|line| line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: ")))
            .map(str::to_owned)
            .collect();
        if loaded.is_empty() {
            let failure = Failure::Refused { status: 0, message: "there is no image in the archive".to_owned() };
            return Err(failure.into_error_of(Kind::Image, act));
        }
        Ok(loaded)
    }
}

/// What a source yields, as it comes. Why it failed, if it did, is left in `unreadable`.
fn chunks(
    source: impl AsyncRead + Send + Unpin + 'static,
    ticker: Ticker,
    unreadable: Arc<OnceLock<String>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((source, 0), move |(mut source, read)| {
        let (ticker, unreadable) = (ticker.clone(), Arc::clone(&unreadable));
        async move {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let length = source.read_buf(&mut chunk).await.inspect_err(|error| {
                // The first reason is the reason.
                let _ = unreadable.set(error.to_string());
            })?;
            let read = read + length as u64;
            ticker.tick(read, None, "bytes", "");
            Ok((length > 0).then(|| (chunk.freeze(), (source, read))))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_is_handed_on_whole_and_in_order() {
        let source: Vec<u8> = (0..600_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let stream = chunks(io::Cursor::new(source.clone()), Ticker::null(), Arc::default());
        let parts: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
        assert_eq!(parts.concat(), source);
    }
}
