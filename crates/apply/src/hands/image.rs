//! Images: pulled by digest.

use std::time::Duration;

use compose::project::ServiceName;
use deploy::Failure;
use deploy::release::Image;
use docker::image::{Progress, Pull};
use docker::{DockerError, ImageRef, Problem, if_found};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::failure::{failed, of_docker, of_service, text_of, with_hint};
use super::{Hands, Told};

/// So often a pull is tried that fails for a reason which may pass.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What engines and registries say of troubles on the way.
const PASSING: [&str; 14] = [
    "timeout",
    "timed out",
    "connection refused",
    "connection reset",
    "broken pipe",
    "unexpected eof",
    "no such host",
    "temporary failure",
    "network is unreachable",
    "toomanyrequests",
    "too many requests",
    "502 bad gateway",
    "503 service",
    "504 gateway",
];

impl Hands {
    pub(super) async fn pull(
        &self,
        image: &Image,
        services: &[ServiceName],
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<(), Failure> {
        let of = |failure: Failure| match services.first() {
            Some(service) => of_service(failure, service),
            None => failure,
        };
        let pinned: ImageRef = image
            .pinned()
            .parse()
            .map_err(|error| of(failed(text_of(&error))))?;
        let there = if_found(self.engine.inspect_image(&pinned).await);
        if there.map_err(|error| of(of_docker(error)))?.is_some() {
            return Ok(());
        }
        let credentials = match &self.options.keys {
            Some(keys) => keys
                .credentials(&pinned)
                .await
                .map_err(|why| of(failed(why)))?,
            None => None,
        };
        let pull = Pull {
            image: pinned,
            credentials,
            platform: None,
        };
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            let told = told.clone();
            let tell = |progress: Progress| {
                let _nobody_listens = told.send(Told::Progress(words(&image.name, &progress)));
            };
            let error = match self.engine.pull_image(&pull, tell).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if tries >= TRIES || !may_pass(&error) {
                return Err(of(refused(&image.name, error)));
            }
            let again = format!("{}: {}; again in {pause:?}", image.name, text_of(&error));
            let _nobody_listens = told.send(Told::Progress(again));
            sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }
}

fn may_pass(error: &DockerError) -> bool {
    let words = text_of(error).to_lowercase();
    let refused = matches!(
        error.problem(),
        Problem::Refused { .. } | Problem::NotFound(_)
    );
    error.is_unreachable() || refused && PASSING.iter().any(|passing| words.contains(passing))
}

fn refused(name: &str, error: DockerError) -> Failure {
    let words = text_of(&error);
    let lower = words.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let hint = if has("no space left") {
        Some("the host's disk is full: make room there (`docker system df` shows what takes it)")
    } else if has("unauthorized") || has("denied") || has("no basic auth") {
        Some(
            "does the registry want a login? `docker login` here, or CI_REGISTRY_PASSWORD in a job",
        )
    } else if has("manifest unknown") || has("not found") {
        Some("was the image pushed, and is it still there?")
    } else if error.is_unreachable() {
        return of_docker(error);
    } else {
        None
    };
    with_hint(format!("cannot pull {name}: {words}"), hint)
}

fn words(name: &str, progress: &Progress) -> String {
    let bytes = match (progress.done, progress.total) {
        (Some(done), Some(total)) if total > 0 => {
            format!(" {} %", done.saturating_mul(100) / total)
        }
        _ => String::new(),
    };
    match progress.layer.as_str() {
        "" => format!("{name}: {}{bytes}", progress.status),
        layer => format!("{name}: {layer}: {}{bytes}", progress.status),
    }
}
