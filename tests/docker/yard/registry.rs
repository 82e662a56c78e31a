//! A registry with one image: that of Redis with a layer of its own on top, which the engine can have from nowhere else. How
//! it hands that layer out can be changed while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::docker;

/// How large the layer is.
const LAYER_BYTES: usize = 4 << 20;

/// How the layer is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Whole,
    /// Half of it, and then the connection breaks.
    Cut,
    /// Half of it, and then nothing more, while this is so.
    Stalled,
}

/// See the module. Its threads end with it.
#[derive(Debug)]
pub(crate) struct Registry {
    port: u16,
    served: Arc<Served>,
}

#[derive(Debug)]
struct Served {
    manifest: Vec<u8>,
    /// By digest; the last is the layer of its own.
    blobs: Vec<(String, Vec<u8>)>,
    manner: Mutex<Manner>,
    /// How often the layer was asked for.
    asked: AtomicUsize,
    closed: AtomicBool,
}

impl Registry {
    /// One whose image is made of an image that is here.
    pub(crate) fn of(image: &str) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = Arc::new(Served::of(image));
        let port = listener.local_addr().unwrap().port();
        let its = Arc::clone(&served);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if its.closed.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&its);
                // A connection that breaks off is what all this is about.
                thread::spawn(move || drop(served.serve(&client)));
            }
        });
        Registry { port, served }
    }

    /// What the image is called.
    pub(crate) fn image(&self) -> String {
        format!("127.0.0.1:{}/redis:test", self.port)
    }

    pub(crate) fn hand_out(&self, manner: Manner) {
        *self.served.manner.lock().unwrap() = manner;
    }

    /// How often the layer was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.hand_out(Manner::Cut);
        self.served.closed.store(true, Ordering::SeqCst);
        // Whoever waits for connections sees it then.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = std::process::Command::new("docker").args(["image", "rm", &self.image()]).output();
    }
}

impl Served {
    fn of(image: &str) -> Served {
        let (mut config, mut layers) = saved(image);
        layers.push(layer_of_its_own());
        let own = layers.last().unwrap();
        config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(digest(own).into());
        config["history"].as_array_mut().unwrap().push(json!({ "created": "2030-01-01T00:00:00Z", "comment": "test" }));
        let config = config.to_string().into_bytes();
        let part = |kind: &str, blob: &[u8]| {
            let kind = format!("application/vnd.docker.{kind}");
            json!({ "mediaType": kind, "size": blob.len(), "digest": digest(blob) })
        };
        let parts: Vec<Value> = layers.iter().map(|layer| part("image.rootfs.diff.tar.gzip", layer)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": part("container.image.v1+json", &config),
            "layers": parts,
        });
        let blobs = std::iter::once(config).chain(layers).map(|blob| (digest(&blob), blob)).collect();
        let (manner, asked, closed) = (Mutex::new(Manner::Whole), AtomicUsize::new(0), AtomicBool::new(false));
        Served { manifest: manifest.to_string().into_bytes(), blobs, manner, asked, closed }
    }

    /// One request a connection.
    fn serve(&self, client: &TcpStream) -> std::io::Result<()> {
        let head: Vec<String> =
            BufReader::new(client).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let line = head.first().cloned().unwrap_or_default();
        let path = line.split(' ').nth(1).unwrap_or_default();
        let from =
            head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let from: usize = from.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or_default();
        let own = self.blobs.last().map(|(digest, _)| digest.as_str());
        let (kind, body, manner) = if path == "/v2/" {
            ("application/json", &b"{}"[..], Manner::Whole)
        } else if path.contains("/manifests/") {
            ("application/vnd.docker.distribution.manifest.v2+json", &*self.manifest, Manner::Whole)
        } else if let Some((digest, blob)) = self.blobs.iter().find(|(digest, _)| path.ends_with(digest.as_str())) {
            let is_own = own == Some(digest);
            self.asked.fetch_add(usize::from(is_own && line.starts_with("GET ")), Ordering::SeqCst);
            ("application/octet-stream", &**blob, if is_own { *self.manner.lock().unwrap() } else { Manner::Whole })
        } else {
            return (&*client).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let (all, body) = (body.len(), &body[from.min(body.len())..]);
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        let range = format!("Content-Range: bytes {from}-{}/{all}\r\n", all.saturating_sub(1));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {}\r\n{}\
             Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n",
            body.len(),
            digest(&self.manifest),
            if from > 0 { &*range } else { "" },
        );
        (&*client).write_all(head.as_bytes())?;
        if line.starts_with("HEAD ") {
            return Ok(());
        }
        self.send(client, body, manner)?;
        client.shutdown(Shutdown::Both)
    }

    fn send(&self, mut client: &TcpStream, body: &[u8], manner: Manner) -> std::io::Result<()> {
        let half = if manner == Manner::Whole { body.len() } else { body.len() / 2 };
        client.write_all(&body[..half])?;
        if manner == Manner::Stalled {
            super::eventually("the registry goes on", || (*self.manner.lock().unwrap() != manner).then_some(()));
        }
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sandbox::hex::hex(&Sha256::digest(bytes)))
}

/// The configuration and the layers of an image that is here.
fn saved(image: &str) -> (Value, Vec<Vec<u8>>) {
    let output = std::process::Command::new("docker").args(["image", "save", image]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(&*output.stdout).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(name, bytes);
    }
    let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let config = serde_json::from_slice(&files[list[0]["Config"].as_str().unwrap()]).unwrap();
    let layers = list[0]["Layers"].as_array().unwrap().iter();
    (config, layers.map(|name| files[name.as_str().unwrap()].clone()).collect())
}

/// A layer that no other run has: an engine fetches none that it has had before.
fn layer_of_its_own() -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let mut content = format!("{} {now}\n", std::process::id()).into_bytes();
    content.resize(LAYER_BYTES, b'.');
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "of-this-test", &*content).unwrap();
    archive.into_inner().unwrap()
}

/// An image of Redis that is here.
pub(crate) fn redis_image() -> String {
    let listed = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    let found = listed.lines().find(|image| image.starts_with("sandbox-redis:") || *image == "redis:8");
    found.expect("an image of Redis: make images").to_owned()
}
