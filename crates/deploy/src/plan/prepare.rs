//! What is made ready on a host before anything changes for users.

use std::collections::{BTreeMap, BTreeSet};

use compose::project::{
    Mount, MountKind, NetworkKind, NetworkName, Networking, Service, ServiceName, VolumeKind,
    VolumeName,
};

use super::PlannedStep;
use super::host::Site;
use crate::record::Entry;
use crate::release::{Image, ImageFrom, Kind, Member};
use crate::step::{FillFrom, NetworkLike, Step};

impl Site<'_> {
    pub(super) fn edge_step(&self) -> Option<PlannedStep> {
        let step = Step::PlaceEdge {
            version: self.edge.to_owned(),
        };
        (!self.edge_fits()).then(|| PlannedStep::new(step, self.why_edge()))
    }

    pub(super) fn prepare(&self) -> Vec<PlannedStep> {
        let entry = Entry::Begin(self.intent);
        let begin = PlannedStep::new(
            Step::Record { entry },
            "so that the way back is known, whatever happens",
        );
        let mut steps = vec![begin];
        if !self.is_in_place() {
            steps.extend(self.pulls());
            steps.extend(self.networks());
            steps.extend(self.volumes());
        }
        steps
    }

    fn why_edge(&self) -> String {
        match &self.seen.edge {
            None => "there is none on this host".to_owned(),
            Some(edge) if edge.version != self.edge => format!("its version is {}", edge.version),
            Some(_) => "it does not answer".to_owned(),
        }
    }

    /// The services that will have containers made here.
    fn needed(&self) -> impl Iterator<Item = (&ServiceName, &Member)> {
        self.to
            .services
            .iter()
            .filter(|(name, member)| match member.kind() {
                Kind::Released => true,
                Kind::Standing => !self.standing_fits(name),
                Kind::Once => self.once,
            })
    }

    fn pulls(&self) -> Vec<PlannedStep> {
        let mut images: BTreeMap<&Image, Vec<ServiceName>> = BTreeMap::new();
        for (service, member) in self.needed() {
            if member.image.from == ImageFrom::Registry
                && !self.seen.images.contains(&member.image.digest)
            {
                images
                    .entry(&member.image)
                    .or_default()
                    .push(service.clone());
            }
        }
        let pull = |(image, services): (&Image, _)| {
            PlannedStep::new(
                Step::Pull {
                    image: image.clone(),
                    services,
                },
                "the host does not have it",
            )
        };
        images.into_iter().map(pull).collect()
    }

    fn networks(&self) -> Vec<PlannedStep> {
        let mut wanted: BTreeMap<String, (NetworkLike, String)> = BTreeMap::new();
        if self.to.of_kind(Kind::Standing).next().is_some() {
            let why = "standing services meet each other there".to_owned();
            wanted.insert(self.to.standing_network_name(), (NetworkLike::Plain, why));
        }
        for key in self.network_keys() {
            let own = self.to.own_network_name(key);
            let Some(shared) = self.to.shared_network_name(key) else {
                let why = format!("services of one release meet only each other in `{key}`");
                wanted.insert(own, (NetworkLike::Key(key.clone()), why));
                continue;
            };
            let why = format!("`{key}` is shared, so the names of one release are known here");
            wanted.insert(own, (NetworkLike::Plain, why));
            if matches!(
                self.to.networks.get(key).map(|network| &network.kind),
                Some(NetworkKind::Own(_))
            ) {
                let why = format!(
                    "`{key}` has a name or addresses of its own, so there is one for all releases"
                );
                wanted.insert(shared, (NetworkLike::Key(key.clone()), why));
            }
        }
        let release = self.to.number;
        let missing = wanted
            .into_iter()
            .filter(|(name, _)| !self.seen.networks.contains(name));
        missing
            .map(|(name, (like, why))| {
                PlannedStep::new(
                    Step::MakeNetwork {
                        name,
                        release,
                        like,
                    },
                    why,
                )
            })
            .collect()
    }

    fn network_keys(&self) -> BTreeSet<&NetworkName> {
        let members = self.to.services.values();
        let keys = members.filter_map(|member| match &member.definition.networking {
            Networking::Networks(networks) => Some(networks.keys()),
            _ => None,
        });
        keys.flatten().collect()
    }

    fn volumes(&self) -> Vec<PlannedStep> {
        let members = self.to.services.values();
        let keys: BTreeSet<&VolumeName> = members
            .flat_map(|member| mounted(&member.definition))
            .map(|(key, _)| key)
            .collect();
        keys.into_iter()
            .filter_map(|key| self.volume(key))
            .collect()
    }

    fn volume(&self, key: &VolumeName) -> Option<PlannedStep> {
        let volume = self.to.volumes.get(key)?;
        if matches!(volume.kind, VolumeKind::External(_)) {
            return None;
        }
        let (name, release, key) = (self.to.volume_name(key), self.to.number, key.clone());
        let there = self.seen.volumes.get(&name);
        if !self.to.volume_is_own(&key) {
            let make = Step::MakeVolume { name, release, key };
            return there
                .is_none()
                .then(|| PlannedStep::new(make, "all releases share it"));
        }
        if there.is_some_and(|volume| volume.filled) {
            return None;
        }
        let from = self.fill_from(&key);
        let fill = Step::FillVolume {
            name,
            release,
            key,
            from,
        };
        Some(PlannedStep::new(
            fill,
            "each release has its own: `x-lotse: { per: release }`",
        ))
    }

    /// The services that mount a volume, in the order in which they start: as if they had been
    /// started on an empty volume.
    fn fill_from(&self, key: &VolumeName) -> Vec<FillFrom> {
        let all = self.to.services.keys().cloned().collect();
        let services = self.to.waves(&all).into_iter().flatten();
        let services = services.filter(|service| self.to.services[service].kind() != Kind::Once);
        services
            .flat_map(|service| {
                let definition = &self.to.services[&service].definition;
                let paths = mounted(definition)
                    .filter(|(name, _)| *name == key)
                    .map(|(_, mount)| mount);
                let filling = paths
                    .filter(|mount| !matches!(mount.kind, MountKind::Volume { nocopy: true, .. }));
                let paths: Vec<String> = filling.map(|mount| mount.target.clone()).collect();
                paths.into_iter().map(move |path| FillFrom {
                    service: service.clone(),
                    path,
                })
            })
            .collect()
    }
}

/// The named volumes that a service mounts.
pub(super) fn mounted(service: &Service) -> impl Iterator<Item = (&VolumeName, &Mount)> {
    service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume {
            name: Some(name), ..
        } => Some((name, mount)),
        _ => None,
    })
}
