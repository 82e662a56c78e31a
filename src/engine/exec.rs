//! Running a program inside a container, with its streams in our hands.

use std::{io, time::Duration};

use bollard::{models, query_parameters::ResizeExecOptionsBuilder};
use futures::{StreamExt, stream::BoxStream};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
};

use super::{
    deadline,
    docker::{Engine, bounded},
    failure::Failure,
    frames::{Frames, Source},
    hijack::{self, Hijacked},
    terminal::Size,
};
use crate::error::{Error, Kind, Result};

/// How often a new terminal is told its size: it may not be there yet when the process has just been asked for.
const RESIZE_ATTEMPTS: u64 = 5;

/// A program to be run inside a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// Variables beyond the container's own.
    pub env: Vec<(String, String)>,
    /// `user`, `uid:gid`, where not the container's own.
    pub user: Option<String>,
    /// The directory in which it starts, where not the container's own.
    pub working_dir: Option<String>,
    /// Whether it gets a terminal; then all its output is one stream.
    pub tty: bool,
    /// Whether it gets our standard input.
    pub interactive: bool,
}

/// Our ends of a program's streams.
pub struct Streams<I, O, E> {
    /// Read until its end, which the program then sees as its own. Not touched unless the program is interactive.
    pub stdin: I,
    /// Where its output goes.
    pub stdout: O,
    /// Where its errors go; untouched when it has a terminal.
    pub stderr: E,
    /// The size of our terminal, now and after each change. See [`super::terminal::sizes`].
    pub sizes: BoxStream<'static, Size>,
}

/// A program's output as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Its exit code.
    pub exit_code: i64,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

/// The code of a program that SIGPIPE has ended, as shells have it.
const BROKEN_PIPE: i64 = 141;

impl Engine {
    /// Runs a program in a running container and collects its output. Some 50 ms, five minutes at most.
    ///
    /// Errors: [`Kind::Service`] when the container does not run; a program's own failure is an exit code.
    pub async fn exec_capture(
        &self,
        id: &str,
        cmd: &[&str],
        stdin: Option<&[u8]>,
        user: Option<&str>,
    ) -> Result<Captured> {
        let spec = ExecSpec {
            cmd: cmd.iter().map(|&word| word.to_owned()).collect(),
            user: user.map(str::to_owned),
            interactive: stdin.is_some(),
            ..ExecSpec::default()
        };
        let mut captured = Captured::default();
        let streams = Streams {
            stdin: stdin.unwrap_or_default(),
            stdout: &mut captured.stdout,
            stderr: &mut captured.stderr,
            sizes: futures::stream::empty().boxed(),
        };
        let run = self.exec_attached(id, &spec, streams);
        captured.exit_code = match tokio::time::timeout(deadline::CAPTURE, run).await {
            Ok(code) => code?,
            Err(_) => {
                return Err(
                    Failure::TimedOut(deadline::CAPTURE).into_error(&format!("cannot finish {}", act(id, &spec)))
                );
            }
        };
        Ok(captured)
    }

    /// Runs a program in a running container, its streams joined to ours, until it ends: its exit code.
    ///
    /// It ends when the program does, even if our standard input never does. Dropping the future leaves the program
    /// running: the engine cannot be asked to end it.
    ///
    /// Errors: [`Kind::Service`] when the container does not run, [`Kind::Files`] when our own ends fail.
    pub async fn exec_attached<I, O, E>(&self, id: &str, spec: &ExecSpec, streams: Streams<I, O, E>) -> Result<i64>
    where
        I: AsyncRead + Unpin,
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        let failed = |failure: Failure| failure.into_error_of(Kind::Service, &format!("cannot run {}", act(id, spec)));
        let exec = bounded(deadline::LOOK, self.docker.create_exec(id, request(spec))).await.map_err(failed)?.id;
        let path = format!("/v{}/exec/{exec}/start", self.shared.api);
        let body = format!(r#"{{"Detach":false,"Tty":{}}}"#, spec.tty);
        let Hijacked { stream, early_output } =
            bounded(deadline::START, hijack::post(&self.shared.socket, &path, &body)).await.map_err(failed)?;
        let (from, to) = stream.into_split();
        let Streams { stdin, stdout, stderr, sizes } = streams;
        let aside = async {
            let input = async { if spec.interactive { forward(stdin, to).await } else { hold(to).await } };
            tokio::join!(input, self.resize_with(&exec, sizes));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            copied = copy_output(from, early_output, spec.tty, stdout, stderr) => {
                // Whoever read our output has seen enough, as `head` does: not an error, and no reason to go on.
                if copied.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                    return Ok(BROKEN_PIPE);
                }
                let what = || format!("cannot pass on the output of {}", act(id, spec));
                copied.map_err(|error| Error::new(Kind::Files, what()).because(error))?;
            }
            () = aside => {}
        }
        self.exit_code(&exec).await.map_err(failed)
    }

    /// The exit code of a program whose output has ended; the engine learns of it a moment later.
    async fn exit_code(&self, exec: &str) -> Result<i64, Failure> {
        let known = async {
            loop {
                let seen = bounded(deadline::LOOK, self.docker.inspect_exec(exec)).await?;
                if let (Some(false), Some(code)) = (seen.running, seen.exit_code) {
                    return Ok::<i64, Failure>(code);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bounded(deadline::EXIT_CODE, known).await
    }

    /// Keeps a program's terminal as large as ours. A size that cannot be passed on costs looks, not work.
    async fn resize_with(&self, exec: &str, mut sizes: BoxStream<'static, Size>) {
        while let Some(Size { columns, rows }) = sizes.next().await {
            for attempt in 1..=RESIZE_ATTEMPTS {
                let options = ResizeExecOptionsBuilder::new().h(i32::from(rows)).w(i32::from(columns)).build();
                if bounded(deadline::LOOK, self.docker.resize_exec(exec, options)).await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10 * attempt)).await;
            }
        }
    }
}

fn act(id: &str, spec: &ExecSpec) -> String {
    format!("{} in container {id}", spec.cmd.first().map_or("nothing", String::as_str))
}

fn request(spec: &ExecSpec) -> models::ExecConfig {
    models::ExecConfig {
        attach_stdin: Some(spec.interactive),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(spec.tty),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(spec.cmd.clone()),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        ..Default::default()
    }
}

/// Passes our input on and then closes the program's. A program that no longer reads is no failure.
async fn forward(mut stdin: impl AsyncRead + Unpin, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut stdin, &mut to).await;
    let _ = to.shutdown().await;
    hold(to).await;
}

/// Keeps our half open: closing it may end the program's output too.
async fn hold(_half: OwnedWriteHalf) {
    std::future::pending::<()>().await;
}

async fn copy_output(
    mut from: OwnedReadHalf,
    early: Vec<u8>,
    tty: bool,
    mut stdout: impl AsyncWrite + Unpin,
    mut stderr: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut piece = early;
    loop {
        if tty {
            stdout.write_all(&piece).await?;
            stdout.flush().await?;
        } else {
            frames.push(&piece);
            while let Some((source, bytes)) = frames.next() {
                match source {
                    Source::Stdout => stdout.write_all(&bytes).await?,
                    Source::Stderr => stderr.write_all(&bytes).await?,
                }
            }
            stdout.flush().await?;
            stderr.flush().await?;
        }
        piece.clear();
        piece.reserve(32 * 1024);
        if from.read_buf(&mut piece).await? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    async fn copied(sent: &[u8], tty: bool) -> (Vec<u8>, Vec<u8>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&sent[1..]).await.unwrap();
        drop(theirs);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        copy_output(ours.into_split().0, sent[..1].to_vec(), tty, &mut out, &mut err).await.unwrap();
        (out, err)
    }

    #[tokio::test]
    async fn a_terminals_output_is_passed_on_as_it_is() {
        let (out, err) = copied(b"\x01\x02\x1b[0m no newline", true).await;
        assert_eq!((out.as_slice(), err.as_slice()), (&b"\x01\x02\x1b[0m no newline"[..], &b""[..]));
    }

    #[tokio::test]
    async fn without_a_terminal_the_streams_stay_apart() {
        let (out, err) = copied(b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x01!", false).await;
        assert_eq!((out.as_slice(), err.as_slice()), (&b"hi"[..], &b"!"[..]));
    }
}
