//! The images of a project: there, or pulled.

use compose::project::{PullPolicy, Service, ServiceName};
use docker::image::Pull;
use docker::{ImageRef, if_found};
use model::Digest;

use super::{OnEngine, ProjectError, Tell};

impl OnEngine<'_> {
    /// Sees to it that the image of a service is there, and returns its name and id.
    pub(super) async fn image(
        &self,
        name: &ServiceName,
        policy: PullPolicy,
        tell: Tell<'_>,
    ) -> Result<(ImageRef, Digest), ProjectError> {
        let service = &self.project.services[name];
        let image = image_of(name, service)?;
        let there = if_found(self.engine.inspect_image(&image).await)?;
        let shall_pull = match policy {
            PullPolicy::Always => true,
            PullPolicy::Missing => there.is_none() && service.build.is_none(),
            PullPolicy::Never | PullPolicy::Build => false,
        };
        let found = match (shall_pull, there) {
            (false, there) => there,
            (true, _) => {
                self.pull_one(name, service, &image, tell).await?;
                if_found(self.engine.inspect_image(&image).await)?
            }
        };
        let missing = || match service.build {
            Some(_) => format!("the image `{image}` is not built: `docker build` makes it"),
            None => format!("the image `{image}` is not there, and shall not be pulled"),
        };
        match found {
            Some(found) => Ok((image, found.id)),
            None => Err(of(name, missing())),
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
            let image = image_of(name, service)?;
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
}

/// As Compose calls what it builds, where the file gives no name.
fn image_of(name: &ServiceName, service: &Service) -> Result<ImageRef, ProjectError> {
    let Some(image) = &service.image else {
        let why = "it has no image: give what `build` makes a name in `image`, and build it before";
        return Err(of(name, why.to_owned()));
    };
    image
        .parse()
        .map_err(|error: docker::NameError| of(name, error.to_string()))
}

fn of(service: &ServiceName, why: String) -> ProjectError {
    ProjectError::Image {
        service: service.clone(),
        why,
    }
}
