//! Volumes. Nothing here removes one that may hold data: only one that this very filling began.

use std::collections::BTreeMap;

use compose::project::{OwnVolume, VolumeKind, VolumeName};
use deploy::release::label;
use deploy::{Failure, FillFrom, Release};
use docker::container::ContainerSpec;
use docker::container::spec::{Mount, Networking};
use docker::volume::{Volume, VolumeSpec};
use docker::{DockerError, Name, if_found};
use tokio::time::{Instant, sleep};

use super::Hands;
use super::containers::{PAUSE, STILL_MAKING};
use super::failure::{failed, of_docker, of_keep, of_service};
use super::network::name_of;
use crate::container;
use crate::keep::{Ask, Fill, Kept};

/// The label that says which filling a volume comes from.
const FILLING: &str = "lotse.filling";
/// Behind the name of a container that is made so that the engine fills a volume.
const FILLER: &str = ".fill";

/// Whether a volume is one that was filled to its end.
pub(super) fn is_filled(volume: &Volume, fills: &BTreeMap<String, Fill>) -> bool {
    fills
        .get(volume.name.as_str())
        .is_some_and(|fill| fill.done && is_from(volume, fill))
}

fn is_from(volume: &Volume, fill: &Fill) -> bool {
    volume.labels.get(FILLING) == Some(&fill.token)
}

impl Hands {
    pub(super) async fn make_volume(
        &self,
        name: &str,
        release: &Release,
        key: &VolumeName,
    ) -> Result<(), Failure> {
        let volume = name_of(name)?;
        let there = if_found(self.engine.inspect_volume(&volume).await).map_err(of_docker)?;
        if there.is_none() {
            let spec = self.volume_spec(own(release, key)?);
            self.engine
                .create_volume(&volume, &spec)
                .await
                .map_err(of_docker)?;
        }
        Ok(())
    }

    pub(super) async fn fill_volume(
        &self,
        name: &str,
        release: &Release,
        key: &VolumeName,
        from: &[FillFrom],
    ) -> Result<(), Failure> {
        let volume = name_of(name)?;
        let own = own(release, key)?;
        let kept: Kept = self
            .keeper
            .ask(&Ask::Look(self.owner.clone()))
            .await
            .map_err(of_keep)?;
        let known = kept.fills.get(name);
        let filler = name_of(&format!("{name}{FILLER}"))?;
        if let Some(there) =
            if_found(self.engine.inspect_volume(&volume).await).map_err(of_docker)?
        {
            match known {
                Some(fill) if is_from(&there, fill) && fill.done => return Ok(()),
                Some(fill) if is_from(&there, fill) => {
                    self.remove_unfilled(&volume, &filler)
                        .await
                        .map_err(of_docker)?;
                }
                _ => return Err(strange(name)),
            }
        }
        let fill = Fill {
            token: token()?,
            done: false,
        };
        self.mark(name, fill.clone()).await?;
        let mut spec = self.volume_spec(own);
        spec.labels
            .insert(label::RELEASE.to_owned(), release.number.to_string());
        spec.labels.insert(FILLING.to_owned(), fill.token.clone());
        self.engine
            .create_volume(&volume, &spec)
            .await
            .map_err(of_docker)?;
        for source in from {
            let filled = self.fill_from(&volume, &filler, release, source).await;
            filled.map_err(|error| of_service(of_docker(error), &source.service))?;
        }
        self.mark(name, Fill { done: true, ..fill }).await
    }

    /// The engine copies what the image has at the path when a container is made, if the volume is
    /// empty.
    async fn fill_from(
        &self,
        volume: &Name,
        filler: &Name,
        release: &Release,
        from: &FillFrom,
    ) -> Result<(), DockerError> {
        let Some(member) = release.services.get(&from.service) else {
            return Ok(());
        };
        let Ok(image) = member.image.pinned().parse() else {
            return Ok(());
        };
        let mut spec = ContainerSpec::new(image);
        spec.command = Some(vec!["never-started".to_owned()]);
        spec.networking = Networking::None;
        spec.mounts = vec![Mount::volume(volume.clone(), &from.path)];
        spec.labels = self.labels();
        spec.labels
            .insert(label::RELEASE.to_owned(), release.number.to_string());
        let made = self.create_anew(filler, &spec).await?;
        self.remove(&made).await
    }

    /// Removes a volume that was not filled to its end, and that no container of a release can have.
    async fn remove_unfilled(&self, volume: &Name, filler: &Name) -> Result<(), DockerError> {
        let deadline = Instant::now() + STILL_MAKING;
        loop {
            self.remove(filler).await?;
            match if_found(self.engine.remove_volume(volume).await) {
                Err(error) if error.is_conflict() && Instant::now() < deadline => {}
                outcome => return outcome.map(drop),
            }
            sleep(PAUSE).await;
        }
    }

    async fn mark(&self, volume: &str, fill: Fill) -> Result<(), Failure> {
        let mark = Ask::Mark(self.owner.clone(), volume.to_owned(), fill);
        self.keeper.ask::<()>(&mark).await.map_err(of_keep)
    }

    fn volume_spec(&self, own: &OwnVolume) -> VolumeSpec {
        let mut spec = container::volume_spec(own);
        spec.labels.extend(self.labels());
        spec
    }
}

fn own<'a>(release: &'a Release, key: &VolumeName) -> Result<&'a OwnVolume, Failure> {
    match release.volumes.get(key).map(|volume| &volume.kind) {
        Some(VolumeKind::Own(own)) => Ok(own),
        Some(VolumeKind::External(name)) => Err(failed(format!(
            "the volume `{name}` is external, and not there"
        ))),
        None => Err(failed(format!(
            "release {} has no volume `{key}`",
            release.number
        ))),
    }
}

fn strange(name: &str) -> Failure {
    failed(format!(
        "there is a volume `{name}` of which nobody knows what is in it\n\
         hint: keep what you need of it, remove it with `docker volume rm {name}`, and try again"
    ))
}

fn token() -> Result<String, Failure> {
    let number = getrandom::u64().map_err(|error| failed(format!("no random number: {error}")))?;
    Ok(format!("{number:016x}"))
}
