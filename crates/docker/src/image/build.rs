//! Images built by the engine's own builder, which every engine since 20.10 has: no plug-in and no
//! session are needed.

mod answer;
mod request;

use std::collections::BTreeMap;
use std::pin::pin;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use model::{Digest, Secret};
use tokio::time::timeout;

use super::{Credentials, Progress};
use crate::archive::{Archive, Sent};
use crate::container::spec::{ExtraHost, Ulimit};
use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem};
use crate::name::ImageRef;
use answer::Answers;

/// An image to be built.
pub struct BuildSpec {
    /// What its Dockerfile copies from.
    pub context: BuildContext,
    /// The Dockerfile's path in the context [default: `Dockerfile`].
    pub dockerfile: Option<String>,
    /// Its names. The first one is for messages too.
    pub names: Vec<ImageRef>,
    /// Build arguments. They are no place for secrets: the image's history shows them.
    pub args: BTreeMap<String, Secret>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Images of the engine whose layers are taken where they fit.
    pub cache_from: Vec<String>,
    /// The stage to end with [default: the last].
    pub target: Option<String>,
    /// The network of `RUN` [default: the engine's].
    pub network: Option<String>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_size: Option<u64>,
    /// Memory of `RUN`, in bytes.
    pub memory: Option<u64>,
    /// Lines of `/etc/hosts` for `RUN`.
    pub extra_hosts: Vec<ExtraHost>,
    /// Limits of the processes of `RUN`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The isolation technology (Windows).
    pub isolation: Option<String>,
    /// `os/architecture` [default: the engine's].
    pub platform: Option<String>,
    /// Whether every step is done, even if an earlier build did the same.
    pub no_cache: bool,
    /// Whether base images are pulled that are there.
    pub pull: bool,
    /// Who comes to which registry for base images.
    pub credentials: BTreeMap<String, Credentials>,
}

/// What an image is built from.
pub enum BuildContext {
    /// Files.
    Archive(Archive),
    /// The address of a Git repository or of an archive, which the engine fetches.
    Remote(String),
}

/// What is heard of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildProgress {
    /// The builder, and what `RUN` writes. A piece may end in the middle of a line.
    Output(String),
    /// A base image on its way.
    Pull(Progress),
}

impl BuildSpec {
    /// A build of this, with nothing else said.
    pub fn of(context: BuildContext) -> Self {
        Self {
            context,
            dockerfile: None,
            names: Vec::new(),
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            cache_from: Vec::new(),
            target: None,
            network: None,
            shm_size: None,
            memory: None,
            extra_hosts: Vec::new(),
            ulimits: BTreeMap::new(),
            isolation: None,
            platform: None,
            no_cache: false,
            pull: false,
            credentials: BTreeMap::new(),
        }
    }
}

impl Engine {
    /// Builds an image, and tells of it as it goes. While the context is sent, the time for
    /// transfers holds; what is built may take as long, and be as silent, as it likes. Dropping the
    /// future ends the build.
    ///
    /// # Errors
    /// Refused: the Dockerfile is wrong, or a step failed, in the engine's words.
    pub async fn build_image(
        &self,
        spec: BuildSpec,
        tell: impl FnMut(BuildProgress),
    ) -> Result<Digest, DockerError> {
        let operation = match spec.names.first() {
            Some(name) => Operation::of("build the image", name),
            None => Operation::plain("build an image"),
        };
        let (request, sent) = request::of(spec).map_err(|wrong| self.error(&operation, wrong))?;
        let answer = self.transport.start(request);
        let answer = self.until_sent(&operation, &sent, answer).await?;
        let answer = answer.map_err(|wrong| self.error(&operation, wrong))?;
        let built = read(answer, tell).await;
        built.map_err(|wrong| self.error(&operation, wrong))
    }

    /// Waits without limit once everything is sent.
    async fn until_sent<T>(
        &self,
        operation: &Operation,
        sent: &Sent,
        doing: impl Future<Output = T>,
    ) -> Result<T, DockerError> {
        let patience = self.transfer_patience();
        let mut doing = pin!(doing);
        loop {
            let before = sent.bytes();
            match timeout(patience, &mut doing).await {
                Ok(done) => return Ok(done),
                Err(_) if sent.is_whole() || sent.bytes() > before => {}
                Err(_) => return Err(self.error(operation, Problem::TimedOut(patience))),
            }
        }
    }
}

async fn read(
    mut answer: Incoming,
    mut tell: impl FnMut(BuildProgress),
) -> Result<Digest, Problem> {
    let mut answers = Answers::default();
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(|error| Problem::Broken(error.to_string()))?;
        if let Some(piece) = frame.data_ref() {
            answers.take(piece, &mut tell)?;
        }
    }
    answers.end()
}
