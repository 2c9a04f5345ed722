//! What a container sees of volumes, folders and memory.

use std::collections::BTreeMap;

use compose::project::{self, MountKind, Service, VolumeName};
use docker::container::spec::{Mount, MountSource, Propagation};

pub(super) fn of(service: &Service, volumes: &BTreeMap<&VolumeName, String>) -> Vec<Mount> {
    let mounts = service
        .mounts
        .iter()
        .filter_map(|mount| one(mount, volumes));
    let in_memory = service.tmpfs.iter().map(|(target, options)| {
        let (size, mode) = in_memory(options).unwrap_or_default();
        Mount {
            read_only: options.split(',').any(|option| option == "ro"),
            ..Mount::new(MountSource::Tmpfs { size, mode }, target)
        }
    });
    mounts.chain(in_memory).collect()
}

pub(super) fn refused(service: &Service) -> Vec<String> {
    let mut found = Vec::new();
    for mount in &service.mounts {
        match &mount.kind {
            MountKind::Image { source, .. } => found.push(format!(
                "the image `{source}` is not mounted: copy from it in the Dockerfile"
            )),
            MountKind::Bind {
                selinux: Some(_),
                source,
                ..
            } => found.push(format!(
                "`{source}` is not labelled for SELinux (`z`, `Z`): do that on the host"
            )),
            _ => {}
        }
    }
    for (target, options) in &service.tmpfs {
        if in_memory(options).is_none() {
            found.push(format!(
                "of the options of the tmpfs `{target}` only size, mode, ro and rw are known: {options}"
            ));
        }
    }
    found
}

fn one(mount: &project::Mount, volumes: &BTreeMap<&VolumeName, String>) -> Option<Mount> {
    let source = match &mount.kind {
        MountKind::Bind {
            source,
            propagation,
            create_host_path,
            ..
        } => MountSource::Bind {
            path: source.clone(),
            create: *create_host_path,
            propagation: propagation.map(self::propagation),
            recursive: true,
        },
        MountKind::Volume {
            name,
            nocopy,
            subpath,
        } => MountSource::Volume {
            name: match name {
                Some(key) => Some(volumes.get(key)?.parse().ok()?),
                None => None,
            },
            no_copy: *nocopy,
            subpath: subpath.clone(),
        },
        MountKind::Tmpfs { size, mode } => MountSource::Tmpfs {
            size: size.and_then(|size| size.try_into().ok()),
            mode: *mode,
        },
        MountKind::Image { .. } => return None,
    };
    Some(Mount {
        read_only: mount.read_only,
        ..Mount::new(source, &mount.target)
    })
}

fn propagation(propagation: project::Propagation) -> Propagation {
    match propagation {
        project::Propagation::Private => Propagation::Private,
        project::Propagation::Rprivate => Propagation::Rprivate,
        project::Propagation::Shared => Propagation::Shared,
        project::Propagation::Rshared => Propagation::Rshared,
        project::Propagation::Slave => Propagation::Slave,
        project::Propagation::Rslave => Propagation::Rslave,
    }
}

/// Size and mode of mount options as tmpfs(5) has them; nothing when there are others.
fn in_memory(options: &str) -> Option<(Option<u64>, Option<u32>)> {
    let (mut size, mut mode) = (None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", text)) => size = Some(bytes(text)?),
            Some(("mode", text)) => mode = Some(u32::from_str_radix(text, 8).ok()?),
            // The engine mounts with these, except for `ro`, in any case.
            None if ["ro", "rw", "noexec", "nosuid", "nodev"].contains(&option) => {}
            _ => return None,
        }
    }
    Some((size, mode))
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "b" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_file_systems_in_memory() {
        for (options, expected) in [
            ("", Some((None, None))),
            ("size=64m,mode=1777", Some((Some(64 << 20), Some(0o1777)))),
            ("rw,noexec,size=100", Some((Some(100), None))),
            ("uid=1000", None),
            ("size=50%", None),
            ("exec", None),
        ] {
            assert_eq!(in_memory(options), expected, "{options}");
        }
    }
}
