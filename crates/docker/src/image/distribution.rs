//! What a registry has under an image's name, asked by an engine: whoever asks needs no way to the
//! registry.

use model::Digest;

use super::{Credentials, credentials};
use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem};
use crate::name::ImageRef;

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The digest of its manifest, or of the index of all its platforms.
    pub digest: Digest,
    /// The platforms that there are, such as `linux/arm64/v8`.
    pub platforms: Vec<String>,
}

impl Engine {
    /// Lets the engine ask an image's registry what is under its name now.
    ///
    /// # Errors
    /// Refused or not found, in the registry's words: there is no such image, or these credentials
    /// may not see it.
    pub async fn distribution(
        &self,
        image: &ImageRef,
        who: Option<&Credentials>,
    ) -> Result<Distribution, DockerError> {
        let operation = Operation::of("ask the registry for the image", image);
        let who = who.map(|who| credentials(who, image));
        let asking = async {
            let answer = self.docker.inspect_registry_image(image.as_str(), who);
            let answer = answer.await?;
            let digest = answer.descriptor.digest.unwrap_or_default();
            let strange = |_| Problem::Strange(format!("`{digest}` is no digest"));
            Ok::<_, Problem>(Distribution {
                digest: digest.parse().map_err(strange)?,
                platforms: answer.platforms.into_iter().map(platform).collect(),
            })
        };
        self.call(&operation, asking).await
    }
}

fn platform(seen: bollard::models::OciPlatform) -> String {
    let parts = [seen.os, seen.architecture, seen.variant];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("/")
}
