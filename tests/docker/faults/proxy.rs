//! Stands between the program and the engine's socket: numbers the requests of all connections, and kills the program at
//! one of them.

use std::io::{self, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::request::Request;
use super::{Door, Point, When};
use crate::yard::dawdle;

/// A socket that leads to the engine as long as it is held.
#[derive(Debug)]
pub(super) struct Proxy {
    socket: PathBuf,
    trap: Arc<Trap>,
}

/// The request at which the program is killed.
#[derive(Debug)]
struct Trap {
    /// The engine's socket.
    engine: PathBuf,
    point: Point,
    /// How long each request waits.
    delay: Duration,
    /// The program: a number would be another's once this one has ended.
    victim: OnceLock<OwnedFd>,
    seen: AtomicUsize,
    sprung: AtomicBool,
    /// The first line of the request.
    line: Mutex<String>,
    closed: AtomicBool,
}

/// What becomes of a request.
enum Fate {
    Forwarded,
    /// The program is killed once it is answered.
    Last,
    Swallowed,
}

impl Proxy {
    pub(super) fn open(socket: PathBuf, point: Point) -> Proxy {
        Proxy::with(UnixListener::bind(&socket).unwrap(), socket, engine_socket(), point, Duration::ZERO)
    }

    /// One that leads to another engine, whose network namespace is not ours: there the program refuses to bring up what it could
    /// not reach. Whoever was the last to listen is whom it sees at the other end: here one that has ended.
    pub(super) fn to(engine: PathBuf, socket: PathBuf, point: Point) -> Proxy {
        let listener = UnixListener::bind(&socket).unwrap();
        let fd = OwnedFd::from(listener.try_clone().unwrap());
        let done = Command::new("perl").args(["-e", "listen(STDIN, 128) or die $!"]).stdin(fd).status().unwrap();
        assert!(done.success());
        Proxy::with(listener, socket, engine, point, Duration::ZERO)
    }

    /// One that kills nobody, and makes every request wait.
    pub(super) fn slow(socket: PathBuf, delay: Duration) -> Proxy {
        let point = Point { door: Door::Engine, number: usize::MAX, when: When::Before };
        Proxy::with(UnixListener::bind(&socket).unwrap(), socket, engine_socket(), point, delay)
    }

    fn with(listener: UnixListener, socket: PathBuf, engine: PathBuf, point: Point, delay: Duration) -> Proxy {
        let trap = Arc::new(Trap {
            engine,
            point,
            delay,
            victim: OnceLock::new(),
            seen: AtomicUsize::new(0),
            sprung: AtomicBool::new(false),
            line: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let its = Arc::clone(&trap);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if its.closed.load(Ordering::SeqCst) {
                    return;
                }
                let trap = Arc::clone(&its);
                // A connection that breaks off is what all this is about.
                thread::spawn(move || drop(trap.serve(client)));
            }
        });
        Proxy { socket, trap }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Says who is killed. Until then the request waits.
    pub(super) fn aim_at(&self, program: OwnedFd) {
        self.trap.victim.set(program).unwrap();
    }

    /// The request at which the program was killed, where it came so far.
    pub(super) fn sprung_at(&self) -> Option<String> {
        let sprung = self.trap.sprung.load(Ordering::SeqCst);
        sprung.then(|| self.trap.line.lock().unwrap().clone())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.trap.closed.store(true, Ordering::SeqCst);
        // Whoever waits for connections sees it then.
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Trap {
    /// One connection, to its end.
    fn serve(self: Arc<Trap>, client: UnixStream) -> io::Result<()> {
        let mut engine = UnixStream::connect(&self.engine)?;
        // Set while the answer to the request in question is awaited.
        let awaited = Arc::new(AtomicBool::new(false));
        let answers = (engine.try_clone()?, client.try_clone()?, Arc::clone(&self), Arc::clone(&awaited));
        let back = thread::spawn(move || {
            let (engine, client, trap, awaited) = answers;
            let _ = trap.pass_answers(&engine, &client, &awaited);
            for end in [engine, client] {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
        let passed = self.pass_requests(client, &mut engine, &awaited);
        // Of a connection that a process took over the other direction may have more to say.
        let end = if matches!(passed, Ok(true)) { Shutdown::Write } else { Shutdown::Both };
        let _ = engine.shutdown(end);
        let _ = back.join();
        Ok(())
    }

    /// Whether the connection was taken over by a process in the end.
    fn pass_requests(&self, client: UnixStream, engine: &mut UnixStream, awaited: &AtomicBool) -> io::Result<bool> {
        let mut client = BufReader::new(client);
        while let Some(request) = Request::read(&mut client)? {
            dawdle(self.delay);
            match self.fate(&request) {
                Fate::Forwarded => {}
                Fate::Last => awaited.store(true, Ordering::SeqCst),
                Fate::Swallowed => break,
            }
            engine.write_all(&request.bytes)?;
            if request.upgrades {
                io::copy(&mut client, engine)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn pass_answers(&self, mut engine: &UnixStream, mut client: &UnixStream, awaited: &AtomicBool) -> io::Result<()> {
        let (mut piece, mut head) = (vec![0; 64 * 1024], Vec::new());
        loop {
            let length = engine.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            if !awaited.load(Ordering::SeqCst) {
                client.write_all(&piece[..length])?;
                continue;
            }
            // One request at a time is under way on a connection: this is its answer's head.
            head.extend_from_slice(&piece[..length]);
            if head.windows(4).any(|it| it == b"\r\n\r\n") {
                self.spring();
                return Ok(());
            }
        }
    }

    fn fate(&self, request: &Request) -> Fate {
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if number != self.point.number {
            // Of one that is dead no more is heard.
            return if self.sprung.load(Ordering::SeqCst) { Fate::Swallowed } else { Fate::Forwarded };
        }
        self.line.lock().unwrap().clone_from(&request.line);
        match self.point.when {
            When::After => Fate::Last,
            When::Before => {
                self.spring();
                Fate::Swallowed
            }
        }
    }

    fn spring(&self) {
        let victim = self.victim.wait();
        // First: once the program is seen to have ended, this is asked for.
        self.sprung.store(true, Ordering::SeqCst);
        // Gone already is what is wanted.
        let _ = pidfd_send_signal(victim, Signal::KILL);
    }
}

/// The engine that the scenarios use.
fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}
