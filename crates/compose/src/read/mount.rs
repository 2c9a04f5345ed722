//! What a service sees of volumes, folders, files and devices.

use std::collections::{BTreeMap, HashMap};

use yaml::{Node, Problem, Span};

use super::{Reader, Section, flag, int, items, text};
use crate::path;
use crate::project::{
    Device, FileMount, Mount, MountKind, Propagation, Selinux, VolumeName, VolumesFrom,
    VolumesFromSource,
};
use crate::shape::{is_path, short, shortened};

impl Reader<'_, '_> {
    /// All mounts; no two at one path.
    pub(super) fn mounts(&mut self, node: &Node) -> Vec<Mount> {
        let mut all = Vec::new();
        let mut places: HashMap<String, Span> = HashMap::new();
        for item in items(node, "volumes") {
            let mount = match item.as_str() {
                Some(text) => self.short_mount(text, item.span),
                None => self.long_mount(item),
            };
            let Some(mount) = mount else {
                continue;
            };
            if let Some(first) = places.insert(mount.target.clone(), item.span) {
                let message = format!("two volumes are at `{}`", shortened(&mount.target));
                self.add(
                    Problem::error("conflict", item.span, message)
                        .note(first, "the first one")
                        .hint("remove one, or give it another path in the container"),
                );
            }
            all.push(mount);
        }
        all
    }

    fn short_mount(&mut self, text: &str, span: Span) -> Option<Mount> {
        let parts = short::mount_parts(text)?;
        let mut mount = Mount {
            target: self.target(parts.target, span)?,
            read_only: false,
            kind: match parts.source {
                Some(source) if is_path(source) => MountKind::Bind {
                    source: path::clean(source),
                    propagation: None,
                    create_host_path: true,
                    selinux: None,
                },
                source => MountKind::Volume {
                    name: match source {
                        Some(name) => Some(self.volume_name(name, span)?),
                        None => None,
                    },
                    nocopy: false,
                    subpath: None,
                },
            },
        };
        for word in parts.mode.unwrap_or_default().split(',') {
            self.mode(word, &mut mount, span);
        }
        Some(mount)
    }

    /// A word of the third part of a short volume.
    fn mode(&mut self, word: &str, mount: &mut Mount, span: Span) {
        let bind = match &mut mount.kind {
            MountKind::Bind {
                propagation,
                selinux,
                ..
            } => Some((propagation, selinux)),
            _ => None,
        };
        match (word, bind) {
            ("" | "rw" | "cached" | "consistent" | "delegated", _) => {}
            ("ro", _) => mount.read_only = true,
            ("nocopy", _) => {
                if let MountKind::Volume { nocopy, .. } = &mut mount.kind {
                    *nocopy = true;
                }
            }
            ("z", Some((_, selinux))) => *selinux = Some(Selinux::Shared),
            ("Z", Some((_, selinux))) => *selinux = Some(Selinux::Private),
            // Named volumes have their labels from the engine.
            ("z" | "Z", None) => {}
            (word, Some((slot, _))) if propagation(word).is_some() => *slot = propagation(word),
            _ => {
                let message = format!("`{}` is not a mode of a volume", shortened(word));
                self.error(
                    "value",
                    span,
                    message,
                    "write `ro`, `rw`, `z`, `Z`, `nocopy`, or a propagation like `rshared`",
                );
            }
        }
    }

    fn long_mount(&mut self, node: &Node) -> Option<Mount> {
        let kind = node.get("type")?;
        let word = kind.as_str()?;
        self.foreign_options(node, word);
        let kind = match word {
            "bind" => self.bind(node),
            "volume" => self.volume_mount(node),
            "tmpfs" => self.tmpfs_mount(node),
            "image" => self.image_mount(node),
            "npipe" | "cluster" => {
                let message = format!(
                    "volumes of type `{word}` are not supported: the engines of Linux have none"
                );
                self.error(
                    "unsupported",
                    kind.span,
                    message,
                    "write `bind`, `volume`, `tmpfs` or `image`",
                );
                None
            }
            _ => {
                let message = format!("`{}` is not a type of a volume", shortened(word));
                self.error(
                    "value",
                    kind.span,
                    message,
                    "write `bind`, `volume`, `tmpfs` or `image`",
                );
                None
            }
        };
        let target = node.get("target")?;
        Some(Mount {
            target: self.target(target.as_str()?, target.span)?,
            read_only: flag(node, "read_only"),
            kind: kind?,
        })
    }

    fn foreign_options(&mut self, node: &Node, word: &str) {
        for key in ["bind", "volume", "tmpfs", "image"] {
            if let Some(options) = node.get(key).filter(|_| key != word) {
                let message = format!(
                    "`{key}` is not used: the volume has the type `{}`",
                    shortened(word)
                );
                self.add(Problem::warning("unused", options.span, message));
            }
        }
    }

    fn bind(&mut self, node: &Node) -> Option<MountKind> {
        let options = node.get("bind");
        let word = |key: &str| options.and_then(|options| text(options, key));
        let create = options.and_then(|options| options.get("create_host_path")?.as_bool());
        Some(MountKind::Bind {
            source: self.source(node)?,
            propagation: word("propagation").and_then(|word| propagation(&word)),
            create_host_path: create.unwrap_or(true),
            selinux: match word("selinux").as_deref() {
                Some("z") => Some(Selinux::Shared),
                Some("Z") => Some(Selinux::Private),
                _ => None,
            },
        })
    }

    fn volume_mount(&mut self, node: &Node) -> Option<MountKind> {
        let options = node.get("volume");
        let name = match node.get("source").filter(|source| !source.is_null()) {
            Some(source) => Some(self.volume_name(source.as_str()?, source.span)?),
            None => None,
        };
        Some(MountKind::Volume {
            name,
            nocopy: options.is_some_and(|options| flag(options, "nocopy")),
            subpath: options.and_then(|options| text(options, "subpath")),
        })
    }

    fn tmpfs_mount(&mut self, node: &Node) -> Option<MountKind> {
        if let Some(source) = node.get("source").filter(|source| !source.is_null()) {
            self.error(
                "conflict",
                source.span,
                "a `tmpfs` has no source",
                "remove `source`",
            );
        }
        let options = node.get("tmpfs");
        let mode = options.and_then(|options| int(options, "mode"));
        Some(MountKind::Tmpfs {
            size: options.and_then(|options| int(options, "size")),
            mode: mode.and_then(|mode| u32::try_from(mode).ok()),
        })
    }

    fn image_mount(&mut self, node: &Node) -> Option<MountKind> {
        Some(MountKind::Image {
            source: self.source(node)?,
            subpath: node
                .get("image")
                .and_then(|options| text(options, "subpath")),
        })
    }

    fn source(&mut self, node: &Node) -> Option<String> {
        let source = text(node, "source");
        if source.is_none() {
            let message = "this volume needs a `source`";
            self.error(
                "missing",
                node.span,
                message,
                "say what is mounted: `source: …`",
            );
        }
        source
    }

    fn volume_name(&mut self, name: &str, span: Span) -> Option<VolumeName> {
        self.known(Section::Volumes, name, span, "the service")
    }

    /// A path in a container.
    fn target(&mut self, text: &str, span: Span) -> Option<String> {
        if text.starts_with('/') {
            return Some(path::clean(text));
        }
        let message = format!("`{}` is not a path in a container", shortened(text));
        self.error(
            "value",
            span,
            message,
            "write an absolute path: it starts with `/`",
        );
        None
    }

    /// `path[:options]`
    pub(super) fn tmpfs(&mut self, node: &Node) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for item in items(node, "tmpfs") {
            let text = item.as_str().unwrap_or_default();
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            if let Some(target) = self.target(target, item.span) {
                all.insert(target, options.to_owned());
            }
        }
        all
    }

    /// `service[:mode]` or `container:name[:mode]`
    pub(super) fn volumes_from(&mut self, node: &Node) -> Vec<VolumesFrom> {
        let mut all = Vec::new();
        for item in items(node, "volumes_from") {
            let text = item.as_str().unwrap_or_default();
            let parts: Vec<_> = text.split(':').collect();
            let (source, mode) = match parts[..] {
                ["container", name] => (Some(container(name)), "rw"),
                ["container", name, mode] => (Some(container(name)), mode),
                ["service", name, mode] | [name, mode] => (self.service_mounts(name, item), mode),
                [name] => (self.service_mounts(name, item), "rw"),
                _ => (None, ""),
            };
            match (source, mode) {
                (Some(source), "ro" | "rw") => all.push(VolumesFrom {
                    source,
                    read_only: mode == "ro",
                }),
                (None, "ro" | "rw") => {}
                _ => {
                    let message =
                        format!("`{}` is not an entry of `volumes_from`", shortened(text));
                    self.error(
                        "value",
                        item.span,
                        message,
                        "write `service`, `service:ro` or `container:name:ro`",
                    );
                }
            }
        }
        all
    }

    fn service_mounts(&mut self, name: &str, item: &Node) -> Option<VolumesFromSource> {
        let name = self.known(Section::Services, name, item.span, "`volumes_from`")?;
        Some(VolumesFromSource::Service(name))
    }

    /// Configs, which are at `/name`, or secrets, at `/run/secrets/name`, where nothing is said.
    pub(super) fn file_mounts(&mut self, node: &Node, section: Section) -> Vec<FileMount> {
        let (key, folder) = match section {
            Section::Secrets => ("secrets", "/run/secrets"),
            _ => ("configs", ""),
        };
        let mut all = Vec::new();
        for item in items(node, key) {
            let Some(source) = item.get("source") else {
                continue;
            };
            let name = source.as_str().unwrap_or_default();
            let known = match section {
                Section::Secrets => self
                    .known::<crate::project::SecretName>(section, name, source.span, "the service")
                    .is_some(),
                _ => self
                    .known::<crate::project::ConfigName>(section, name, source.span, "the service")
                    .is_some(),
            };
            if !known {
                continue;
            }
            let target = text(item, "target").unwrap_or_else(|| name.to_owned());
            all.push(FileMount {
                source: name.to_owned(),
                target: match target.starts_with('/') {
                    true => path::clean(&target),
                    false => path::clean(&format!("{folder}/{target}")),
                },
                uid: text(item, "uid"),
                gid: text(item, "gid"),
                mode: int(item, "mode").and_then(|mode| u32::try_from(mode).ok()),
            });
        }
        all
    }

    pub(super) fn devices(&mut self, node: &Node) -> Vec<Device> {
        let mut all = Vec::new();
        for item in items(node, "devices") {
            let source = text(item, "source").unwrap_or_default();
            let permissions = text(item, "permissions").unwrap_or_else(|| "rwm".to_owned());
            let is_cdi = !source.starts_with('/') && source.contains('=');
            if !(source.starts_with('/') || is_cdi) || !short::is_permissions(&permissions) {
                let message = format!("`{}` is not a device", shortened(&source));
                self.error(
                    "value",
                    item.span,
                    message,
                    "devices look like `/dev/a`, `/dev/a:/dev/b` or `/dev/a:/dev/b:rw`",
                );
                continue;
            }
            all.push(Device {
                target: text(item, "target").unwrap_or_else(|| source.clone()),
                source,
                permissions,
            });
        }
        all
    }
}

fn container(name: &str) -> VolumesFromSource {
    VolumesFromSource::Container(name.to_owned())
}

fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::Private,
        "rprivate" => Propagation::Rprivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::Rshared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::Rslave,
        _ => return None,
    })
}
