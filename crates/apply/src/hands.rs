//! One host: what is there, and each step of a plan carried out through its engine.
//!
//! A step leads to the same end when it is repeated, also after it was cut off in the middle. What
//! a step leaves to choose was chosen by the plan. Nothing here knows of other hosts, of batches, or
//! of what follows from a failure.

mod blueprint;
mod composed;
mod containers;
mod failure;
mod image;
mod lock;
mod look;
mod network;
mod observe;
mod stack;
mod standing;
mod traffic;
mod volume;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use deploy::{Failure, Holder, Look, Release, ReleaseNumber, Seen, Step};
use docker::image::Credentials;
use docker::{Engine, ImageRef, Name};
use jiff::SignedDuration;
use tokio::sync::{OnceCell, mpsc};

use crate::keep::Keeper;
use crate::owner::Owner;
use look::Phase;

/// Releases by number: those that steps speak of.
pub type Releases = BTreeMap<ReleaseNumber, Arc<Release>>;

/// One host's engine, and what belongs to one environment there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hands {
    engine: Engine,
    owner: Owner,
    keeper: Keeper,
    options: HandsOptions,
    /// How far the host's clock is ahead of ours.
    clock: Arc<OnceCell<SignedDuration>>,
    /// Who took the lock here.
    holder: Arc<Mutex<Option<Holder>>>,
}

/// What a host's hands need beside its engine.
#[derive(Clone)]
pub struct HandsOptions {
    /// The name of the edge's container and of the volume with its state.
    pub edge: Name,
    /// What registries are shown when images are pulled; nothing without.
    pub keys: Option<Arc<dyn RegistryKeys>>,
    /// The program that an edge's image is made of; this very one, without.
    pub program: Option<PathBuf>,
}

/// What registries are shown.
pub trait RegistryKeys: Send + Sync {
    /// The credentials for an image's registry, nothing when there are none for it; or why they
    /// cannot be had, in words.
    fn credentials<'a>(&'a self, image: &'a ImageRef) -> Asking<'a>;

    /// All that are known.
    fn all(&self) -> Pin<Box<dyn Future<Output = Logins> + Send + '_>>;
}

/// Credentials of all registries that are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logins {
    /// By registry, in the engine's words.
    pub known: BTreeMap<String, Credentials>,
    /// Why others cannot be had, in words.
    pub failed: Vec<String>,
}

/// Credentials that are being asked for.
pub type Asking<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Credentials>, String>> + Send + 'a>>;

/// What happens while a step is carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// What containers do, of [`Step::Await`] and [`Step::Watch`].
    Look(Look),
    /// In words, for people.
    Progress(String),
}

/// What became of a lease that was to be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It begins anew.
    Renewed,
    /// Nobody has it, or somebody else.
    Lost {
        /// Who.
        by: Option<Holder>,
    },
}

impl Hands {
    /// Hands on the host of this engine, for one environment of one project.
    pub fn new(engine: Engine, owner: Owner, options: HandsOptions) -> Self {
        Self {
            keeper: Keeper::new(engine.clone(), options.edge.clone()),
            clock: Arc::default(),
            holder: Arc::default(),
            engine,
            owner,
            options,
        }
    }

    /// Carries out a step; `told` hears what happens meanwhile. A step that can be stopped
    /// ([`Step::is_stoppable`]) is stopped by dropping the future; [`Step::Await`] and
    /// [`Step::Watch`] end by that or by a failure alone.
    ///
    /// # Errors
    /// Why it was not carried out. It can be repeated.
    pub async fn carry_out(
        &self,
        step: &Step,
        releases: &Releases,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<Seen, Failure> {
        if let Step::Lock(lease) = step {
            return Box::pin(self.lock(lease, told)).await;
        }
        Box::pin(self.carry_out_plain(step, releases, told)).await?;
        Ok(Seen::Nothing)
    }

    async fn carry_out_plain(
        &self,
        step: &Step,
        releases: &Releases,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<(), Failure> {
        let of = |number: &ReleaseNumber| known_release(releases, *number);
        match step {
            Step::Lock(_) => Ok(()),
            Step::Unlock { holder } => self.unlock(holder).await,
            Step::PlaceEdge { .. } => self.place_edge(told).await,
            Step::Record { entry } => self.record(entry, releases).await,
            Step::Pull { image, services } => self.pull(image, services, told).await,
            Step::MakeNetwork {
                name,
                release,
                like,
            } => self.make_network(name, of(release)?, like).await,
            Step::MakeVolume { name, release, key } => {
                self.make_volume(name, of(release)?, key).await
            }
            Step::FillVolume {
                name,
                release,
                key,
                from,
            } => self.fill_volume(name, of(release)?, key, from).await,
            Step::UpdateStanding(update) => {
                let release = of(&update.release)?;
                self.update_standing(release, update, releases).await
            }
            Step::Join { release, services } => self.join(of(release)?, services).await,
            Step::RetireStanding { service } => self.retire_standing(service).await,
            Step::RunOnce { release, service } => self.run_once(of(release)?, service).await,
            Step::Start { release, services } => self.start(of(release)?, services).await,
            Step::Await { waits, settle, .. } => {
                match self.look(waits, Phase::Settling(*settle), told).await? {}
            }
            Step::Watch { waits, time } => {
                match self.look(waits, Phase::Watched(*time), told).await? {}
            }
            Step::Probe { probes, deadline } => self.probe(probes, *deadline).await,
            Step::Switch(to) => self.switch(to).await,
            Step::Retire {
                release,
                waves,
                drain,
            } => self.retire(*release, waves, *drain).await,
            Step::RemoveStack(remains) => self.remove_stack(remains).await,
            Step::SetAside { containers } => self.set_aside(containers).await,
            Step::BringBack { containers } => self.bring_back(containers).await,
            Step::Wait { time } => {
                tokio::time::sleep(time.get()).await;
                Ok(())
            }
        }
    }
}

/// A release that a step speaks of.
fn known_release(releases: &Releases, number: ReleaseNumber) -> Result<&Release, Failure> {
    let release = releases.get(&number).map(Arc::as_ref);
    release.ok_or_else(|| failure::failed(format!("release {number} is not known")))
}

impl Default for HandsOptions {
    fn default() -> Self {
        let edge = "lotse-edge".parse();
        Self {
            edge: edge.expect("`lotse-edge` is a name of the Engine"),
            keys: None,
            program: None,
        }
    }
}

impl fmt::Debug for HandsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandsOptions(edge {})", self.edge)
    }
}
