//! An engine that answers questions and does nothing: a thread behind a Unix socket.
//!
//! It remembers every request, so that a test can say that nothing was asked of it but questions.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::{Value, json};

/// See the module. The thread ends with the test's process.
pub(crate) struct FakeEngine {
    answers: Arc<Mutex<Answers>>,
}

struct Answers {
    api: &'static str,
    hangs: bool,
    containers: Value,
    inspected: Vec<Value>,
    networks: Value,
    lets_networks_go: bool,
    /// What stays attached to each of them until it is made to go.
    attached: Option<&'static str>,
    volumes: Vec<Value>,
    images: Vec<&'static str>,
    requests: Vec<String>,
}

impl FakeEngine {
    /// An engine that has nothing but the images of the template.
    pub(crate) fn start(socket: &Path) -> FakeEngine {
        let answers = Arc::new(Mutex::new(Answers {
            api: "1.47",
            hangs: false,
            containers: json!([]),
            inspected: Vec::new(),
            networks: json!([]),
            lets_networks_go: false,
            attached: None,
            volumes: Vec::new(),
            images: vec!["postgres:17", "redis:8"],
            requests: Vec::new(),
        }));
        let listener = UnixListener::bind(socket).unwrap();
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
        let shared = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        FakeEngine { answers }
    }

    /// The same engine, speaking no newer API than this.
    pub(crate) fn speaking(self, api: &'static str) -> FakeEngine {
        self.answers.lock().unwrap().api = api;
        self
    }

    /// The same engine, taking requests and never answering.
    pub(crate) fn hanging(self) -> FakeEngine {
        self.answers.lock().unwrap().hangs = true;
        self
    }

    /// The same engine with these containers, as it lists them.
    pub(crate) fn with_containers(self, containers: Value) -> FakeEngine {
        self.answers.lock().unwrap().containers = containers;
        self
    }

    /// The same engine with this container, as it tells it when it is asked for it alone.
    pub(crate) fn with_inspected(self, container: Value) -> FakeEngine {
        self.answers.lock().unwrap().inspected.push(container);
        self
    }

    /// The same engine with these networks, as it lists them.
    pub(crate) fn with_networks(self, networks: Value) -> FakeEngine {
        self.answers.lock().unwrap().networks = networks;
        self
    }

    /// The same engine, where a container of this name is gone and still attached to each network; and which lets networks go.
    pub(crate) fn with_attached(self, name: &'static str) -> FakeEngine {
        let mut answers = self.answers.lock().unwrap();
        (answers.lets_networks_go, answers.attached) = (true, Some(name));
        drop(answers);
        self
    }

    /// The same engine with these volumes, as it lists them.
    pub(crate) fn with_volumes(self, volumes: Vec<Value>) -> FakeEngine {
        self.answers.lock().unwrap().volumes = volumes;
        self
    }

    /// What was asked of it that is no question.
    pub(crate) fn commands(&self) -> Vec<String> {
        let answers = self.answers.lock().unwrap();
        answers.requests.iter().filter(|request| !request.starts_with("GET ")).cloned().collect()
    }
}

fn serve(mut stream: UnixStream, answers: &Mutex<Answers>) {
    let mut head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(request) = head.next() else { return };
    // The rest of the head, before the answer.
    head.for_each(drop);
    let mut answers = answers.lock().unwrap();
    answers.requests.push(request.clone());
    if answers.hangs {
        // Whoever waits shall wait: the connection outlives this thread's interest in it.
        std::mem::forget(stream);
        return;
    }
    let (status, body) = letting_go(&request, &mut answers).unwrap_or_else(|| answer(&request, &answers));
    let reply = format!(
        "HTTP/1.1 {status}\r\nApi-Version: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        answers.api,
        body.len(),
    );
    drop(answers);
    // A client that has gone away has what it wanted.
    let _ = stream.write_all(reply.as_bytes());
}

/// What is said about one network, by an engine that lets networks go.
fn letting_go(request: &str, answers: &mut Answers) -> Option<(&'static str, String)> {
    let (_, path) = request.split_once("/networks/").filter(|_| answers.lets_networks_go)?;
    Some(match (request.split(' ').next()?, answers.attached) {
        ("GET", None) => ("200 OK", json!({}).to_string()),
        ("GET", Some(name)) => ("200 OK", json!({ "Containers": { "ep-1f": { "Name": name } } }).to_string()),
        ("DELETE", None) => ("204 No Content", String::new()),
        ("DELETE", Some(_)) => {
            ("403 Forbidden", json!({ "message": "network blog_fix has active endpoints" }).to_string())
        }
        _ if path.contains("/disconnect ") => {
            answers.attached = None;
            ("200 OK", String::new())
        }
        _ => return None,
    })
}

fn answer(request: &str, answers: &Answers) -> (&'static str, String) {
    let target = request.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().trim_start_matches("/v");
    let path = path.split_once('/').map_or(path, |(_, path)| path);
    let missing = |what: &str| ("404 Not Found", json!({ "message": format!("No such {what}") }).to_string());
    let ok = |value: &Value| ("200 OK", value.to_string());
    match path {
        _ if !request.starts_with("GET ") => {
            ("500 Internal Server Error", json!({ "message": "this engine only answers questions" }).to_string())
        }
        "_ping" => ("200 OK", "OK".into()),
        "containers/json" => ok(&answers.containers),
        "networks" => ok(&answers.networks),
        "volumes" => {
            let wanted = labels_of(target);
            let has = |volume: &&Value| wanted.iter().all(|label| carries(volume, label));
            let volumes: Vec<&Value> = answers.volumes.iter().filter(has).collect();
            ok(&json!({ "Volumes": volumes, "Warnings": [] }))
        }
        "images/json" => ok(&json!([])),
        "info" => ok(&json!({ "ID": "fake", "Name": "fakehost", "ServerVersion": "27.0.0", "Driver": "overlay2" })),
        _ if path.starts_with("containers/") => {
            let named = |it: &&Value| it["Id"].as_str().is_some_and(|id| path == format!("containers/{id}/json"));
            answers.inspected.iter().find(named).map_or_else(|| missing("container"), ok)
        }
        _ => {
            let image = path.strip_prefix("images/").and_then(|rest| rest.strip_suffix("/json"));
            let image = image.map(|name| name.replace("%3A", ":"));
            match image.filter(|name| answers.images.contains(&name.as_str())) {
                Some(name) => ok(&json!({ "Id": format!("sha256:{:0>64}", name.len()), "RepoTags": [name] })),
                None => missing("image"),
            }
        }
    }
}

/// The labels that a list is to be filtered by: names alone, or with values.
fn labels_of(target: &str) -> Vec<String> {
    let query = target.split_once("filters=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or_default());
    let filters: Value = serde_json::from_str(&decoded(query)).unwrap_or_default();
    let labels = filters["label"].as_array().cloned().unwrap_or_default();
    labels.iter().filter_map(|label| label.as_str().map(str::to_owned)).collect()
}

fn carries(thing: &Value, label: &str) -> bool {
    let (name, value) = label.split_once('=').map_or((label, None), |(name, value)| (name, Some(value)));
    thing["Labels"].get(name).is_some_and(|its| value.is_none_or(|value| its == value))
}

/// A query's text without its `%XX`.
fn decoded(query: &str) -> String {
    let mut parts = query.split('%');
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        plain.push(u8::from_str_radix(&part[..2], 16).unwrap());
        plain.extend(part[2..].bytes());
    }
    String::from_utf8(plain).unwrap()
}
