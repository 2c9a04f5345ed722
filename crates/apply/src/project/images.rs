//! The images of a project: there, pulled, or built.

use compose::Project;
use compose::project::{PullPolicy, Service, ServiceName};
use docker::image::Pull;
use docker::{ImageRef, if_found};
use model::Digest;

use super::build::Builder;
use super::{Builds, OnEngine, ProjectError, Tell};

impl OnEngine<'_> {
    /// Sees to it that the image of a service is there, and returns its name and id.
    pub(super) async fn image(
        &self,
        name: &ServiceName,
        policy: PullPolicy,
        builds: Builds,
        builder: &Builder<'_>,
    ) -> Result<(ImageRef, Digest), ProjectError> {
        let service = &self.project.services[name];
        let image = self.image_name(name)?;
        let can_build = service.build.is_some() && builds != Builds::Never;
        if can_build && (builds == Builds::Always || service.pull_policy == PullPolicy::Build) {
            builder.build(name).await?;
        } else {
            self.pull_as(policy, name, &image, builder.tell).await?;
        }
        let mut found = if_found(self.engine.inspect_image(&image).await)?;
        if found.is_none() && can_build {
            builder.build(name).await?;
            found = if_found(self.engine.inspect_image(&image).await)?;
        }
        let missing = || match service.build {
            Some(_) => format!("the image `{image}` is not there, and shall not be built"),
            None => format!("the image `{image}` is not there, and shall not be pulled"),
        };
        match found {
            Some(found) => Ok((image, found.id)),
            None => Err(of(name, missing())),
        }
    }

    async fn pull_as(
        &self,
        policy: PullPolicy,
        name: &ServiceName,
        image: &ImageRef,
        tell: Tell<'_>,
    ) -> Result<(), ProjectError> {
        let service = &self.project.services[name];
        let is_built = service.build.is_some();
        let shall_pull = match policy {
            PullPolicy::Always => service.image.is_some(),
            PullPolicy::Missing if is_built => false,
            PullPolicy::Missing => if_found(self.engine.inspect_image(image).await)?.is_none(),
            PullPolicy::Never | PullPolicy::Build => false,
        };
        if !shall_pull {
            return Ok(());
        }
        match self.pull_one(name, service, image, tell).await {
            // No registry need have what is built here.
            Err(ProjectError::Docker(error)) if is_built && !error.is_unreachable() => {
                tell(format!("{image} is not pulled: {}", error.problem()));
                Ok(())
            }
            outcome => outcome,
        }
    }

    pub(super) async fn pull_all(
        &self,
        services: &[ServiceName],
        tell: Tell<'_>,
    ) -> Result<(), ProjectError> {
        let mut outcome = Ok(());
        let mut pulled: Vec<&String> = Vec::new();
        for name in services {
            let service = &self.project.services[name];
            let Some(text) = &service.image else {
                tell(format!("{name} is built, not pulled"));
                continue;
            };
            if service.pull_policy == PullPolicy::Build || pulled.contains(&text) {
                continue;
            }
            pulled.push(text);
            let image = self.image_name(name)?;
            // The first error is the one to tell.
            outcome = outcome.and(self.pull_one(name, service, &image, tell).await);
        }
        outcome
    }

    async fn pull_one(
        &self,
        name: &ServiceName,
        service: &Service,
        image: &ImageRef,
        tell: Tell<'_>,
    ) -> Result<(), ProjectError> {
        tell(format!("pulling {image}"));
        let asked = self.keys.credentials(image).await;
        let pull = Pull {
            image: image.clone(),
            credentials: asked.map_err(|why| of(name, why))?,
            platform: service.platform.clone(),
        };
        self.engine.pull_image(&pull, |_| {}).await?;
        tell(format!("{image} pulled"));
        Ok(())
    }

    pub(super) fn image_name(&self, name: &ServiceName) -> Result<ImageRef, ProjectError> {
        image_name(self.project, name)
            .parse()
            .map_err(|error: docker::NameError| of(name, error.to_string()))
    }
}

/// A service's image as the file calls it; else as Compose v2 calls what it builds.
pub fn image_name(project: &Project, name: &ServiceName) -> String {
    let service = project.services.get(name);
    match service.and_then(|service| service.image.clone()) {
        Some(image) => image,
        None => format!("{}-{name}", project.name),
    }
}

fn of(service: &ServiceName, why: String) -> ProjectError {
    ProjectError::Image {
        service: service.clone(),
        why,
    }
}
