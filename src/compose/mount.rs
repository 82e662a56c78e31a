//! What a service mounts, short and long.

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::size;

/// A directory or file of the container that lives elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mount {
    /// The absolute path in the container.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// Where it lives.
    pub kind: MountKind,
}

/// Where a mount lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// In a volume.
    Volume {
        /// The key of the volume in the project; none is an anonymous volume.
        source: Option<String>,
        /// Whether the image's own content is left out of a new volume.
        nocopy: bool,
    },
    /// In the host's file system.
    Bind {
        /// The path on the host; relative to the project's directory where it is not absolute.
        source: String,
        /// Whether a missing path becomes a directory.
        create_host_path: bool,
        /// `rprivate`, `shared`, ….
        propagation: Option<String>,
        /// The `SELinux` label to give.
        selinux: Option<Selinux>,
    },
    /// In memory.
    Tmpfs {
        /// The most it may hold, in bytes.
        size_bytes: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// Who may share a bind mount under `SELinux`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Selinux {
    /// Every container.
    #[serde(rename = "z")]
    Shared,
    /// This one alone.
    #[serde(rename = "Z")]
    Private,
}

const PROPAGATIONS: [&str; 6] = ["shared", "slave", "private", "rshared", "rslave", "rprivate"];

/// These tune a file share of Docker Desktop, and mean nothing on Linux.
const CONSISTENCIES: [(&str, ()); 4] = [("cached", ()), ("delegated", ()), ("consistent", ()), ("default", ())];

pub(super) fn read_all(cursor: &Cursor) -> Checked<Vec<Mount>> {
    let read = |item: &Cursor| {
        if item.is_mapping() { read_long(item) } else { item.checked(parse(&item.text()?)) }
    };
    cursor.items()?.iter().map(read).collect()
}

/// `[SOURCE:]TARGET[:OPTION,…]`.
fn parse(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(format!("{text:?} has more than three parts")),
    };
    let kind = match source {
        Some("") => return Err(format!("{text:?} has an empty source")),
        Some(source) if is_path(source) => {
            MountKind::Bind { source: source.to_owned(), create_host_path: true, propagation: None, selinux: None }
        }
        source => MountKind::Volume { source: source.map(str::to_owned), nocopy: false },
    };
    let mut mount = Mount { target: absolute(target)?, read_only: false, kind };
    options.split(',').filter(|option| !option.is_empty()).try_for_each(|option| apply(option, &mut mount))?;
    Ok(mount)
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~'])
}

fn apply(option: &str, mount: &mut Mount) -> Result<(), String> {
    match (option, &mut mount.kind) {
        ("rw", _) => mount.read_only = false,
        ("ro", _) => mount.read_only = true,
        ("nocopy" | "volume-nocopy", MountKind::Volume { nocopy, .. }) => *nocopy = true,
        ("z", MountKind::Bind { selinux, .. }) => *selinux = Some(Selinux::Shared),
        ("Z", MountKind::Bind { selinux, .. }) => *selinux = Some(Selinux::Private),
        // A volume's files are the engine's to label.
        ("z" | "Z", MountKind::Volume { .. }) => {}
        (word, MountKind::Bind { propagation, .. }) if PROPAGATIONS.contains(&word) => {
            *propagation = Some(word.to_owned());
        }
        (word, _) if CONSISTENCIES.iter().any(|(known, ())| *known == word) => {}
        _ => return Err(format!("`{option}` is no option of this mount")),
    }
    Ok(())
}

fn absolute(target: &str) -> Result<String, String> {
    if target.starts_with('/') {
        return Ok(target.to_owned());
    }
    Err(format!("the path in the container must be absolute, and {target:?} is not"))
}

#[derive(Clone, Copy)]
enum Kind {
    Volume,
    Bind,
    Tmpfs,
}

fn read_long(cursor: &Cursor) -> Checked<Mount> {
    let mut fields = cursor.fields()?;
    let kinds = [("volume", Kind::Volume), ("bind", Kind::Bind), ("tmpfs", Kind::Tmpfs)];
    let kind = fields.require("type", |c| c.choice(&kinds))?;
    let source = fields.read("source", Cursor::text)?;
    let target = fields.require("target", |c| c.checked(absolute(&c.text()?)))?;
    let read_only = fields.or_default("read_only", Cursor::flag)?;
    fields.read("consistency", |c| c.choice(&CONSISTENCIES))?;
    // Options of another type are accepted and mean nothing, as in Compose.
    let nocopy = fields.or_default("volume", read_volume)?;
    let bind = fields.or_default("bind", read_bind)?;
    let (size_bytes, mode) = fields.or_default("tmpfs", read_tmpfs)?;
    fields.refuse(&["image"])?;
    fields.finish()?;
    let kind = match kind {
        Kind::Volume => MountKind::Volume { source: source.filter(|source| !source.is_empty()), nocopy },
        Kind::Tmpfs => MountKind::Tmpfs { size_bytes, mode },
        Kind::Bind => MountKind::Bind {
            source: source.ok_or_else(|| cursor.complain("`source` is missing"))?,
            create_host_path: bind.create_host_path.unwrap_or(true),
            propagation: bind.propagation,
            selinux: bind.selinux,
        },
    };
    Ok(Mount { target, read_only, kind })
}

fn read_volume(cursor: &Cursor) -> Checked<bool> {
    let mut fields = cursor.fields()?;
    let nocopy = fields.or_default("nocopy", Cursor::flag)?;
    fields.refuse(&["subpath", "labels"])?;
    fields.finish()?;
    Ok(nocopy)
}

fn read_bind(cursor: &Cursor) -> Checked<BindOptions> {
    let mut fields = cursor.fields()?;
    let propagations = PROPAGATIONS.map(|word| (word, word));
    let bind = BindOptions {
        create_host_path: fields.read("create_host_path", Cursor::flag)?,
        propagation: fields.read("propagation", |c| c.choice(&propagations).map(str::to_owned))?,
        selinux: fields.read("selinux", |c| c.choice(&[("z", Selinux::Shared), ("Z", Selinux::Private)]))?,
    };
    fields.refuse(&["recursive"])?;
    fields.finish()?;
    Ok(bind)
}

fn read_tmpfs(cursor: &Cursor) -> Checked<(Option<u64>, Option<u32>)> {
    let mut fields = cursor.fields()?;
    let tmpfs = (fields.read("size", size::bytes)?, fields.read("mode", Cursor::integer)?);
    fields.finish()?;
    Ok(tmpfs)
}

/// The long form on its way out.
#[derive(Serialize)]
struct Long<'m> {
    r#type: &'static str,
    source: Option<&'m str>,
    target: &'m str,
    read_only: Option<bool>,
    volume: Option<VolumeOptions>,
    bind: Option<BindOptions>,
    tmpfs: Option<TmpfsOptions>,
}

#[derive(Serialize)]
struct VolumeOptions {
    nocopy: bool,
}

#[derive(Default, Serialize)]
struct BindOptions {
    create_host_path: Option<bool>,
    propagation: Option<String>,
    selinux: Option<Selinux>,
}

#[derive(Serialize)]
struct TmpfsOptions {
    size: Option<u64>,
    mode: Option<u32>,
}

impl Serialize for Mount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut long = Long {
            r#type: "volume",
            source: None,
            target: &self.target,
            read_only: self.read_only.then_some(true),
            volume: None,
            bind: None,
            tmpfs: None,
        };
        match &self.kind {
            MountKind::Volume { source, nocopy } => {
                long.source = source.as_deref();
                long.volume = nocopy.then_some(VolumeOptions { nocopy: true });
            }
            MountKind::Bind { source, create_host_path, propagation, selinux } => {
                (long.r#type, long.source) = ("bind", Some(source.as_str()));
                let create_host_path = Some(*create_host_path);
                long.bind = Some(BindOptions { create_host_path, propagation: propagation.clone(), selinux: *selinux });
            }
            MountKind::Tmpfs { size_bytes, mode } => {
                long.r#type = "tmpfs";
                let options = TmpfsOptions { size: *size_bytes, mode: *mode };
                long.tmpfs = (size_bytes.is_some() || mode.is_some()).then_some(options);
            }
        }
        long.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_looks_like_a_path_is_one() {
        for (text, bind) in [("./a:/a", true), ("/a:/a", true), ("~/a:/a", true), (".:/a", true), ("a:/a", false)] {
            assert_eq!(matches!(parse(text).unwrap().kind, MountKind::Bind { .. }), bind, "{text}");
        }
    }

    #[test]
    fn a_target_alone_is_an_anonymous_volume() {
        let anonymous = MountKind::Volume { source: None, nocopy: false };
        assert_eq!(parse("/data").unwrap(), Mount { target: "/data".into(), read_only: false, kind: anonymous });
    }

    #[test]
    fn options_follow_the_target() {
        let mount = parse("./a:/a:ro,z,rshared,cached").unwrap();
        assert!(mount.read_only);
        let MountKind::Bind { propagation, selinux, .. } = mount.kind else { panic!("not a bind") };
        assert_eq!((propagation.as_deref(), selinux), (Some("rshared"), Some(Selinux::Shared)));
    }

    #[test]
    fn what_is_no_mount_is_refused() {
        for text in ["", "a:b", "a:/b:rx", ":/b", "a:/b:ro:z", r"C:\a:/b", "a:/b:rshared", "./a:/b:nocopy"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
