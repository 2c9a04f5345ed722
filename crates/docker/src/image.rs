//! Images: pulled, built, made of archives, named, removed.

mod build;
mod distribution;

use std::collections::BTreeMap;

use bollard::auth::DockerCredentials;
use bollard::models as wire;
use bollard::query_parameters::{
    CreateImageOptions, ImportImageOptions, ListImagesOptions, RemoveImageOptions, TagImageOptions,
};
use jiff::Timestamp;
use model::{Digest, Secret};

use crate::archive::{Archive, Sent};
use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem};
use crate::filter::Filter;
use crate::name::ImageRef;
use crate::time::timestamp;

pub use build::{BuildContext, BuildProgress, BuildSpec};
pub use distribution::Distribution;

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// Its names with tags.
    pub tags: Vec<String>,
    /// Its names by digest, as registries know it: `repository@sha256:…`.
    pub digests: Vec<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its size with all layers, in bytes.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its variables.
    pub environment: Vec<String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, unless a container has its own.
    pub command: Vec<String>,
    /// Ports that it says it listens on, such as `80/tcp`.
    pub exposed: Vec<String>,
    /// Folders that become anonymous volumes.
    pub volumes: Vec<String>,
    /// Its health check in the Engine's form; empty without one.
    pub healthcheck: Vec<String>,
    /// The user that it runs as; empty: root.
    pub user: String,
    /// The operating system, such as `linux`.
    pub os: String,
    /// The processor in Go's words, such as `amd64`.
    pub architecture: String,
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its id.
    pub id: Digest,
    /// Its names with tags.
    pub tags: Vec<String>,
    /// Its names by digest.
    pub digests: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Its size with all layers, in bytes.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Who asks a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

impl Credentials {
    /// In place of a user: the password is a token that the registry gave at a login.
    pub const IDENTITY_TOKEN: &str = "<token>";
}

/// How far a pull or a load is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The layer; empty for the whole.
    pub layer: String,
    /// What is done with it, such as `Downloading` or `Pull complete`.
    pub status: String,
    /// Bytes that are done.
    pub done: Option<u64>,
    /// Bytes that there are.
    pub total: Option<u64>,
}

/// An image that a registry shall be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The image; without tag and digest it is `latest`.
    pub image: ImageRef,
    /// Who asks [default: anybody].
    pub credentials: Option<Credentials>,
    /// Which of its platforms, such as `linux/arm64` [default: the engine's].
    pub platform: Option<String>,
}

impl Engine {
    /// What the engine knows of an image, by name, digest or id.
    ///
    /// # Errors
    /// Not found: the image.
    pub async fn inspect_image(&self, image: &ImageRef) -> Result<Image, DockerError> {
        let operation = Operation::of("inspect the image", image);
        let inspecting = async {
            let seen = self.docker.inspect_image(image.as_str()).await?;
            Image::seen(seen)
        };
        self.call(&operation, inspecting).await
    }

    /// All images with a name that the filter lets through.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list_images(&self, filter: Filter) -> Result<Vec<ImageSummary>, DockerError> {
        let operation = Operation::plain("list the images");
        let options = ListImagesOptions {
            filters: filter.into_query(),
            ..Default::default()
        };
        let listed = self
            .call(&operation, self.docker.list_images(Some(options)))
            .await?;
        Ok(listed.into_iter().filter_map(summary).collect())
    }

    /// Lets the engine get an image from its registry, and tells of each step.
    ///
    /// # Errors
    /// Not found: the image, or nobody without credentials may see it. Refused: the registry's
    /// words.
    pub async fn pull_image(
        &self,
        pull: &Pull,
        mut tell: impl FnMut(Progress),
    ) -> Result<(), DockerError> {
        let operation = Operation::of("pull the image", &pull.image);
        let options = CreateImageOptions {
            from_image: Some(pull.image.repository().to_owned()),
            tag: Some(pull.image.tag_or_digest()),
            platform: pull.platform.clone().unwrap_or_default(),
            ..Default::default()
        };
        let credentials = pull
            .credentials
            .as_ref()
            .map(|who| credentials(who, &pull.image));
        let steps = self.docker.create_image(Some(options), None, credentials);
        self.transfer(&operation, &Sent::default(), steps, |step| {
            tell(progress(step));
        })
        .await
    }

    /// Makes an image of one layer from an archive of a file system. `changes` are instructions of
    /// a Dockerfile that need no build, such as `ENTRYPOINT ["/web"]` or `LABEL a=b`.
    ///
    /// # Errors
    /// Refused: the archive is none, or an instruction is wrong.
    pub async fn import_image(
        &self,
        image: &ImageRef,
        archive: Archive,
        changes: &[&str],
    ) -> Result<Digest, DockerError> {
        let operation = Operation::of("import the image", image);
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(image.repository().to_owned()),
            tag: image.tag().map(str::to_owned),
            changes: changes.iter().map(|&change| change.to_owned()).collect(),
            ..Default::default()
        };
        let (body, sent) = archive.into_body();
        let steps = self.docker.create_image(Some(options), Some(body), None);
        let mut id = None;
        self.transfer(&operation, &sent, steps, |step| {
            id = step
                .status
                .and_then(|status| status.parse().ok())
                .or(id.take());
        })
        .await?;
        let nameless = || Problem::Strange("the image has no id".to_owned());
        id.ok_or_else(|| self.error(&operation, nameless()))
    }

    /// Takes over images with their names and layers from an archive that `docker save` wrote.
    /// Returns the engine's words about what it loaded.
    ///
    /// # Errors
    /// Refused: the archive is none.
    pub async fn load_images(&self, archive: Archive) -> Result<Vec<String>, DockerError> {
        let operation = Operation::plain("load images");
        let options = ImportImageOptions {
            quiet: true,
            platform: None,
        };
        let (body, sent) = archive.into_body();
        let steps = self.docker.import_image(options, body, None);
        let mut said = Vec::new();
        self.transfer(&operation, &sent, steps, |step: wire::BuildInfo| {
            said.extend(step.stream.map(|line| line.trim().to_owned()));
        })
        .await?;
        Ok(said)
    }

    /// Gives an image a further name.
    ///
    /// # Errors
    /// Not found: the image.
    pub async fn tag_image(&self, image: &ImageRef, name: &ImageRef) -> Result<(), DockerError> {
        let operation = Operation::of("tag the image", image);
        let options = TagImageOptions {
            repo: Some(name.repository().to_owned()),
            tag: name.tag().map(str::to_owned),
        };
        self.call(
            &operation,
            self.docker.tag_image(image.as_str(), Some(options)),
        )
        .await
    }

    /// Takes a name away from an image, and the image with its last name. What a container uses
    /// stays.
    ///
    /// # Errors
    /// Not found: the image. Conflict: a container uses it.
    pub async fn remove_image(&self, image: &ImageRef) -> Result<(), DockerError> {
        let operation = Operation::of("remove the image", image);
        let options = Some(RemoveImageOptions::default());
        let removing = self.docker.remove_image(image.as_str(), options, None);
        self.call(&operation, removing).await?;
        Ok(())
    }
}

impl Image {
    fn seen(seen: wire::ImageInspect) -> Result<Self, Problem> {
        let config = seen.config.unwrap_or_default();
        let id = seen.id.unwrap_or_default();
        let strange = |_| Problem::Strange(format!("an image's id is `{id}`"));
        Ok(Self {
            id: id.parse().map_err(strange)?,
            tags: seen.repo_tags.unwrap_or_default(),
            digests: seen.repo_digests.unwrap_or_default(),
            created: timestamp(seen.created.as_deref()),
            size: seen.size.and_then(|size| size.try_into().ok()).unwrap_or(0),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            environment: config.env.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            exposed: sorted(config.exposed_ports),
            volumes: sorted(config.volumes),
            healthcheck: config
                .healthcheck
                .and_then(|check| check.test)
                .unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            os: seen.os.unwrap_or_default(),
            architecture: seen.architecture.unwrap_or_default(),
        })
    }
}

fn sorted(list: Option<Vec<String>>) -> Vec<String> {
    let mut list = list.unwrap_or_default();
    list.sort();
    list
}

/// Without an id there is nothing that could be asked about it.
fn summary(seen: wire::ImageSummary) -> Option<ImageSummary> {
    Some(ImageSummary {
        id: seen.id.parse().ok()?,
        tags: seen.repo_tags,
        digests: seen.repo_digests,
        created: seen.created,
        size: seen.size.try_into().unwrap_or(0),
        labels: seen.labels.into_iter().collect(),
    })
}

fn credentials(who: &Credentials, image: &ImageRef) -> DockerCredentials {
    let registry = image.repository().split('/').next();
    credentials_for(who, registry.unwrap_or_default())
}

fn credentials_for(who: &Credentials, registry: &str) -> DockerCredentials {
    if who.user == Credentials::IDENTITY_TOKEN {
        return DockerCredentials {
            identitytoken: Some(who.password.expose().to_owned()),
            serveraddress: Some(registry.to_owned()),
            ..Default::default()
        };
    }
    DockerCredentials {
        username: Some(who.user.clone()),
        password: Some(who.password.expose().to_owned()),
        serveraddress: Some(registry.to_owned()),
        ..Default::default()
    }
}

fn progress(step: wire::CreateImageInfo) -> Progress {
    progress_of(step.id, step.status, step.progress_detail)
}

fn progress_of(
    id: Option<String>,
    status: Option<String>,
    detail: Option<wire::ProgressDetail>,
) -> Progress {
    let detail = detail.unwrap_or_default();
    let unsigned = |bytes: Option<i64>| bytes.and_then(|bytes| bytes.try_into().ok());
    Progress {
        layer: id.unwrap_or_default(),
        status: status.unwrap_or_default(),
        done: unsigned(detail.current),
        total: unsigned(detail.total),
    }
}
