//! The edge on a host: a container in the host's network, of an image that is made from this very
//! program, so a host needs nothing but Docker.
//!
//! An edge is replaced by a second one that takes the sockets over while the first lets its
//! connections come to their end. Whoever is killed on the way leaves an edge that serves, and the
//! next [`put`] goes on from there. The state stays in a volume, which nothing here removes.

mod error;
mod image;
mod ready;
mod spec;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use docker::container::spec::Restart;
use docker::container::{Container, ContainerSpec, Removal, WaitFor};
use docker::{DockerError, Engine, ImageRef, Name, if_found};
use serde::{Deserialize, Serialize};

pub use error::EdgeError;
pub(crate) use image::PROGRAM;
pub use ready::READY;

/// Beyond an edge's own grace period: until it has ended and the engine has seen it.
const MARGIN: Duration = Duration::from_secs(15);

/// How long an edge may still be seen running when the engine says already that it is not.
const ENDING: Duration = Duration::from_secs(5);

/// An edge that a host shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeContainer {
    /// The name of the container and of the volume with its state.
    pub name: Name,
    /// How it runs; as it did before, without.
    pub options: Option<EdgeOptions>,
    /// The program that its image is made of; this very one, without.
    pub program: Option<PathBuf>,
}

/// How an edge runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeOptions {
    /// Options of `lotse edge run`.
    pub arguments: Vec<String>,
    /// Folders of the host that it may read, under the same paths: for certificates.
    pub folders: Vec<String>,
    /// How long its connections may take to end: what its own options say.
    pub grace: Duration,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            folders: Vec::new(),
            grace: Duration::from_secs(30),
        }
    }
}

/// What happens while an edge is put on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The image is made there.
    Importing(ImageRef),
    /// A container is started.
    Starting(Name),
    /// It serves; the one before has given its sockets away.
    TookOver,
    /// The one before lets its connections come to their end.
    Draining,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Importing(image) => write!(f, "making the image {image}"),
            Self::Starting(container) => write!(f, "starting the container {container}"),
            Self::TookOver => f.write_str("it has taken over: connections come to it from now on"),
            Self::Draining => f.write_str("the one before lets its connections come to their end"),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It runs as it shall already.
    Unchanged,
    /// There was none that ran.
    Started,
    /// It has taken the place of another.
    Replaced,
}

/// Sees to it that the edge runs on the host, from this program's own binary.
///
/// # Errors
/// When the engine refuses something, or the edge does not start: then the one before serves on.
pub async fn put(
    engine: &Engine,
    wanted: &EdgeContainer,
    tell: &mut (dyn FnMut(Step) + Send),
) -> Result<Outcome, EdgeError> {
    let place = Place::new(engine, &wanted.name)?;
    let image = image::ensure(engine, wanted.program.as_deref(), tell).await?;
    place.settle(tell).await?;
    let running = place.look().await?;
    let options = match (&wanted.options, &running) {
        (Some(options), _) => options.clone(),
        (None, Some(edge)) => spec::options_of(edge),
        (None, None) => EdgeOptions::default(),
    };
    let spec = spec::of(&wanted.name, &image, &options);
    let outcome = match running {
        Some(edge) if !edge.state.is_running() => {
            engine.remove_container(&edge.id, Removal::Killed).await?;
            place.start(&wanted.name, &spec, tell).await?;
            Outcome::Started
        }
        Some(edge) if spec::is_same(&edge, &spec) => Outcome::Unchanged,
        Some(edge) => {
            place.replace(&edge, &spec, tell).await?;
            Outcome::Replaced
        }
        None => {
            place.start(&wanted.name, &spec, tell).await?;
            Outcome::Started
        }
    };
    image::remove_others(engine, &image).await?;
    Ok(outcome)
}

/// Stops the edge, when its connections have come to their end, and removes its container. Its
/// state stays in its volume. Returns whether there was one.
///
/// # Errors
/// When the engine refuses something, or the container is no edge.
pub async fn remove(engine: &Engine, name: &Name) -> Result<bool, EdgeError> {
    let place = Place::new(engine, name)?;
    let mut found = false;
    for name in [&place.name, &place.next] {
        let Some(edge) = place.look_at(name).await? else {
            continue;
        };
        let grace = spec::options_of(&edge).grace + MARGIN;
        engine.stop_container(&edge.id, Some(grace)).await?;
        engine.remove_container(&edge.id, Removal::Killed).await?;
        found = true;
    }
    Ok(found)
}

/// The name of the container that takes over from this edge; nothing where it would be too long.
pub(crate) fn next_name(name: &Name) -> Option<Name> {
    format!("{name}-next").parse().ok()
}

/// The two containers that an edge can have on a host.
struct Place<'a> {
    engine: &'a Engine,
    name: Name,
    /// The one that takes over; it gets the name at the end.
    next: Name,
}

impl<'a> Place<'a> {
    fn new(engine: &'a Engine, name: &Name) -> Result<Self, EdgeError> {
        Ok(Self {
            engine,
            name: name.clone(),
            next: next_name(name).ok_or_else(|| EdgeError::Name(name.clone()))?,
        })
    }

    /// Goes on where somebody was cut off: afterwards there is at most the one container, and it
    /// comes back after a restart.
    async fn settle(&self, tell: &mut (dyn FnMut(Step) + Send)) -> Result<(), EdgeError> {
        let next = self.look_at(&self.next).await?;
        if let Some(next) = next {
            let serves = next.state.is_running() && self.wait_until_ready(&next.id).await.is_ok();
            if serves {
                return self.finish(&next.id, tell).await;
            }
            self.engine
                .remove_container(&next.id, Removal::Killed)
                .await?;
        }
        if let Some(edge) = self.look().await? {
            self.engine.set_restart(&edge.id, Restart::Always).await?;
        }
        Ok(())
    }

    /// Starts the first edge.
    async fn start(
        &self,
        name: &Name,
        spec: &ContainerSpec,
        tell: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Name, EdgeError> {
        let made = self.engine.create_container(name, spec).await?.id;
        tell(Step::Starting(name.clone()));
        let started = async {
            self.engine.start_container(&made).await?;
            self.wait_until_ready(&made).await?;
            self.engine.set_restart(&made, Restart::Always).await?;
            Ok(())
        };
        match started.await {
            Ok(()) => Ok(made),
            Err(error) => {
                // The first error is the one to tell.
                let _second = self.engine.remove_container(&made, Removal::Killed).await;
                Err(error)
            }
        }
    }

    /// Lets a new edge take over from a running one.
    async fn replace(
        &self,
        edge: &Container,
        spec: &ContainerSpec,
        tell: &mut (dyn FnMut(Step) + Send),
    ) -> Result<(), EdgeError> {
        // It ends when it has handed over, and shall not come back then.
        self.engine.set_restart(&edge.id, Restart::No).await?;
        match self.start(&self.next, spec, tell).await {
            Ok(next) => {
                tell(Step::TookOver);
                self.finish(&next, tell).await
            }
            Err(error) => {
                self.engine.set_restart(&edge.id, Restart::Always).await?;
                Err(error)
            }
        }
    }

    /// The new edge serves: the one before goes, and the new one gets its name.
    async fn finish(
        &self,
        next: &Name,
        tell: &mut (dyn FnMut(Step) + Send),
    ) -> Result<(), EdgeError> {
        self.engine.set_restart(next, Restart::Always).await?;
        if let Some(edge) = self.look().await? {
            self.let_end(&edge.id).await?;
            tell(Step::Draining);
            let limit = spec::options_of(&edge).grace + MARGIN;
            let ending = self.engine.wait_container(&edge.id, WaitFor::NotRunning);
            // One that does not end in its own time is killed with its removal.
            if let Ok(ended) = tokio::time::timeout(limit, ending).await {
                ended?;
            }
            self.engine
                .remove_container(&edge.id, Removal::Killed)
                .await?;
        }
        self.engine.rename_container(next, &self.name).await?;
        Ok(())
    }

    /// It shall not come back when it ends. It may just be ending, and of such a one the engine
    /// changes nothing (`cannot update a stopped container`).
    async fn let_end(&self, edge: &Name) -> Result<(), EdgeError> {
        let refused = match self.engine.set_restart(edge, Restart::No).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let waiting = self.engine.wait_container(edge, WaitFor::NotRunning);
        match tokio::time::timeout(ENDING, waiting).await {
            Ok(_) => Ok(()),
            Err(_) => Err(refused.into()),
        }
    }

    async fn look(&self) -> Result<Option<Container>, EdgeError> {
        self.look_at(&self.name).await
    }

    async fn look_at(&self, name: &Name) -> Result<Option<Container>, EdgeError> {
        let found: Result<Container, DockerError> = self.engine.inspect_container(name).await;
        match if_found(found)? {
            Some(other) if !spec::is_edge(&other) => Err(EdgeError::NotOurs(name.clone())),
            found => Ok(found),
        }
    }

    async fn wait_until_ready(&self, name: &Name) -> Result<(), EdgeError> {
        ready::wait(self.engine, name).await
    }
}
