//! Images by digest, as an engine finds them.

use compose::project::PullPolicy;
use deploy::release::{Image, ImageFrom};
use docker::image::Pull;
use docker::{DockerError, Engine, ImageRef};

/// The image of that name: as it lies on the host where nobody shall pull it, else as its registry
/// has it now.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn resolve(
    engine: &Engine,
    name: &str,
    policy: PullPolicy,
) -> Result<Image, String> {
    let image: ImageRef = name.parse().map_err(|error| format!("{error}"))?;
    let words = |error: DockerError| format!("{error}: {}", error.problem());
    let is_local = policy == PullPolicy::Never;
    if !is_local {
        let pull = Pull {
            image: image.clone(),
            credentials: None,
            platform: None,
        };
        engine.pull_image(&pull, |_| {}).await.map_err(words)?;
    }
    let found = engine.inspect_image(&image).await.map_err(words)?;
    let mut digests = found.digests.iter().filter_map(|name| name.split_once('@'));
    let of_registry = digests.find(|(repository, _)| *repository == image.repository());
    let digest = match of_registry {
        Some((_, digest)) if !is_local => digest.parse().map_err(|error| format!("{error}"))?,
        _ => found.id,
    };
    Ok(Image {
        name: name.to_owned(),
        digest,
        from: if is_local {
            ImageFrom::Host
        } else {
            ImageFrom::Registry
        },
    })
}
