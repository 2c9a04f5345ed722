//! From a release's blueprint to a container.

use std::collections::BTreeMap;

use compose::project::ServiceName;
use deploy::Failure;
use deploy::Release;
use deploy::release::{Member, label};

use super::Hands;
use super::failure::{failed, of_service, text_of};
use super::network::name_of;
use crate::container::{self, Made, PlacedFile, Setting};

impl Hands {
    /// The labels of everything that is made for this owner. There are none of Compose's own: by
    /// those, `docker-compose down` of the project would take what serves.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (label::PROJECT.to_owned(), self.owner.project.to_string()),
            (
                label::ENVIRONMENT.to_owned(),
                self.owner.environment.to_string(),
            ),
        ])
    }

    /// The container `index` of a service, with names, addresses and files.
    pub(super) async fn plan_container(
        &self,
        release: &Release,
        service: &ServiceName,
        index: u32,
    ) -> Result<Made, Failure> {
        let fail = |message: String| of_service(failed(message), service);
        let unknown = || {
            fail(format!(
                "release {} has no service {service}",
                release.number
            ))
        };
        let blueprint = release.blueprint(service, index).ok_or_else(unknown)?;
        let definition = &blueprint.member.definition;
        let refusals = container::refusals(service, definition);
        if let Some(refusal) = refusals.first() {
            return Err(fail(refusal.what.clone()));
        }
        let image = blueprint.member.image.pinned();
        let image = image.parse().map_err(|error| fail(text_of(&error)))?;
        let labels = blueprint.labels.iter();
        let setting = Setting {
            image,
            networks: self
                .attachments(release, service, index, blueprint.networks)
                .await?,
            volumes: blueprint.volumes,
            labels: labels
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            ports: blueprint.engine_ports,
            restart: blueprint.restart,
            container_of: &|other| release.container_name(other, 1),
        };
        let files = files(release, blueprint.member);
        let archive = container::archive(&files);
        let archive = archive.map_err(|error| fail(format!("a config or secret: {error}")))?;
        Ok(Made {
            name: name_of(&blueprint.name)?,
            spec: container::spec(definition, setting),
            files: (!files.is_empty()).then_some(archive),
        })
    }
}

fn files(release: &Release, member: &Member) -> Vec<PlacedFile> {
    let definition = &member.definition;
    let configs = definition.configs.iter();
    let configs = configs.map(|mount| (mount, release.configs.get(mount.source.as_str())));
    let secrets = definition.secrets.iter();
    let secrets = secrets.map(|mount| (mount, release.secrets.get(mount.source.as_str())));
    let placed = configs.chain(secrets);
    placed
        .filter_map(|(mount, file)| Some(PlacedFile::of(mount, file?.content.0.clone())))
        .collect()
}
