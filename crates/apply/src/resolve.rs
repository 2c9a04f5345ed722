//! From a compose project to a release that has no number yet: every tag becomes the digest that its
//! registry has now, and every file that configs and secrets name is read.
//!
//! The registry is asked by an engine of the environment, so a laptop needs no way to it. All that
//! is wrong is told at once.

mod files;

use std::collections::BTreeMap;

use compose::Project;
use compose::project::{PullPolicy, Service, ServiceName};
use deploy::release::{Image, ImageFrom, Source};
use deploy::{Draft, EnvironmentName};
use docker::{DockerError, Engine, ImageRef, Problem, if_found};
use futures_util::{StreamExt as _, stream};
use model::Secret;

use crate::hands::RegistryKeys;
use crate::keyring::registry_of;

pub use files::read as files;
pub(crate) use files::{bounded, content};

/// Questions to registries at a time.
const AT_A_TIME: usize = 8;

/// Whose release it will be.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The environment.
    pub environment: EnvironmentName,
    /// What people will call the release.
    pub label: Option<String>,
    /// The values that the files were interpolated with.
    pub values: BTreeMap<String, Secret>,
}

/// Resolves a project: `engine` asks the registries, and shows them `keys`.
///
/// What cannot be resolved is in the draft's problems.
pub async fn draft(
    project: &Project,
    asked: Asked,
    engine: &Engine,
    keys: &dyn RegistryKeys,
) -> Draft {
    let source = Source {
        environment: asked.environment,
        label: asked.label,
        values: asked.values,
        images: images(project, engine, keys).await,
        files: files(project),
    };
    Draft::resolve(project, source)
}

/// What is to be asked: services with the same question share the answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    image: String,
    /// It must be on the host already.
    on_host: bool,
    /// It may be on the host alone.
    host_will_do: bool,
}

/// The image of each service, or why there is none.
pub async fn images(
    project: &Project,
    engine: &Engine,
    keys: &dyn RegistryKeys,
) -> BTreeMap<ServiceName, Result<Image, String>> {
    let questions: BTreeMap<&ServiceName, Result<Question, String>> = project
        .services
        .iter()
        .map(|(name, service)| (name, question(service)))
        .collect();
    let mut distinct: Vec<&Question> = questions.values().flatten().collect();
    distinct.sort();
    distinct.dedup();
    let answers: BTreeMap<&Question, Result<Image, String>> = stream::iter(distinct)
        .map(|question| async move { (question, answer(question, engine, keys).await) })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let found = |question: &Result<Question, String>| match question {
        Ok(question) => answers[question].clone(),
        Err(why) => Err(why.clone()),
    };
    questions
        .iter()
        .map(|(&name, question)| (name.clone(), found(question)))
        .collect()
}

fn question(service: &Service) -> Result<Question, String> {
    let Some(image) = &service.image else {
        return Err(
            "it is only built, and hosts build nothing: give it a name in `image`, then build it \
             (`lotse compose build`) and push it before"
                .to_owned(),
        );
    };
    if service.pull_policy == PullPolicy::Build {
        return Err(
            "`pull_policy: build` builds it, and hosts build nothing: build it and push it before, \
             and remove the policy"
                .to_owned(),
        );
    }
    Ok(Question {
        image: image.clone(),
        on_host: service.pull_policy == PullPolicy::Never,
        host_will_do: service.pull_policy == PullPolicy::Missing,
    })
}

async fn answer(
    question: &Question,
    engine: &Engine,
    keys: &dyn RegistryKeys,
) -> Result<Image, String> {
    let name = &question.image;
    let image: ImageRef = name.parse().map_err(|error| format!("{error}"))?;
    let from_registry = |digest| Image {
        name: name.clone(),
        digest,
        from: ImageFrom::Registry,
    };
    if question.on_host || image.id().is_some() {
        let found = on_host(&image, engine).await?;
        return found.map(|found| found.of_host(name)).ok_or_else(|| {
            format!(
                "{} does not have it; load it there, or let it be pulled",
                engine.address()
            )
        });
    }
    if let Some(digest) = image.digest() {
        return Ok(from_registry(digest));
    }
    let why = match from_its_registry(&image, engine, keys).await {
        Ok(digest) => return Ok(from_registry(digest)),
        Err(why) => why,
    };
    // What never was in a registry can only be meant as it is on the host.
    match on_host(&image, engine).await {
        Ok(Some(found)) if question.host_will_do && !found.was_in_registry => {
            Ok(found.of_host(name))
        }
        _ => Err(why),
    }
}

async fn from_its_registry(
    image: &ImageRef,
    engine: &Engine,
    keys: &dyn RegistryKeys,
) -> Result<model::Digest, String> {
    let who = keys.credentials(image).await?;
    let asked = engine.distribution(image, who.as_ref()).await;
    match asked {
        Ok(distribution) => Ok(distribution.digest),
        Err(error) => Err(refusal(image, &error, who.is_some())),
    }
}

/// Why a registry does not show an image, and what to do.
fn refusal(image: &ImageRef, error: &DockerError, with_credentials: bool) -> String {
    let registry = registry_of(image);
    let words = error.problem().to_string();
    let is_forbidden = match error.problem() {
        Problem::Refused { status, .. } => matches!(status, Some(401 | 403)),
        _ => false,
    };
    let mend = match (error.problem(), with_credentials) {
        (_, false) if is_forbidden => {
            format!(
                "; nobody is logged in: `docker login {registry}`, or CI_REGISTRY_USER and CI_REGISTRY_PASSWORD"
            )
        }
        (_, true) if is_forbidden => "; may this user pull it?".to_owned(),
        (Problem::NotFound(_), _) => "; was it pushed?".to_owned(),
        _ => String::new(),
    };
    format!("{registry} says: {words}{mend}")
}

struct OnHost {
    id: model::Digest,
    /// Under this name.
    was_in_registry: bool,
}

impl OnHost {
    fn of_host(self, name: &str) -> Image {
        Image {
            name: name.to_owned(),
            digest: self.id,
            from: ImageFrom::Host,
        }
    }
}

async fn on_host(image: &ImageRef, engine: &Engine) -> Result<Option<OnHost>, String> {
    let found = if_found(engine.inspect_image(image).await);
    let found = found.map_err(|error| format!("{error}: {}", error.problem()))?;
    Ok(found.map(|found| OnHost {
        id: found.id,
        was_in_registry: found
            .digests
            .iter()
            .any(|name| name.split('@').next() == Some(image.repository())),
    }))
}
