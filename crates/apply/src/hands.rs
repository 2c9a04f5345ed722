//! One host: what is there, and each step of a plan carried out through its engine.
//!
//! A step leads to the same end when it is repeated, also after it was cut off in the middle. What
//! a step leaves to choose was chosen by the plan. Nothing here knows of other hosts, of batches, or
//! of what follows from a failure.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use deploy::host::LockSeen;
use deploy::{
    EnvironmentName, Failure, FailureKind, Holder, HostSeen, Lease, Look, Release, ReleaseNumber,
    Seen, Step, Unreached,
};
use docker::image::Credentials;
use docker::{Engine, ImageRef, Name};
use tokio::sync::mpsc;

/// Releases by number: those that steps speak of.
pub type Releases = BTreeMap<ReleaseNumber, Arc<Release>>;

/// One host's engine, and what belongs to one environment there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hands {
    engine: Engine,
    environment: EnvironmentName,
    options: HandsOptions,
}

/// What a host's hands need beside its engine.
#[derive(Clone)]
pub struct HandsOptions {
    /// The name of the edge's container and of the volume with its state.
    pub edge: Name,
    /// What registries are shown when images are pulled; nothing without.
    pub keys: Option<Arc<dyn RegistryKeys>>,
}

/// What registries are shown.
pub trait RegistryKeys: Send + Sync {
    /// The credentials for an image's registry, nothing when there are none for it; or why they
    /// cannot be had, in words.
    fn credentials<'a>(&'a self, image: &'a ImageRef) -> Asking<'a>;
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
    /// Hands on the host of this engine, for one environment.
    pub fn new(engine: Engine, environment: EnvironmentName, options: HandsOptions) -> Self {
        Self {
            engine,
            environment,
            options,
        }
    }

    /// What is on the host. Changes nothing there.
    ///
    /// # Errors
    /// Why it could not be looked at.
    pub async fn observe(&self) -> Result<HostSeen, Unreached> {
        match self.engine.ping().await {
            Ok(()) => Ok(HostSeen::default()),
            Err(error) => Err(Unreached(error.to_string())),
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
        let _to_come = (releases, told);
        Err(failure(format!("cannot {step:?} yet")))
    }

    /// Renews the lease of the lock.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn renew(&self, lease: &Lease) -> Result<Renewal, Failure> {
        let _to_come = (&self.environment, &self.options, lease);
        Ok(Renewal::Lost { by: None })
    }

    /// Takes the lock away from whoever has it, and says who had it.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn break_lock(&self) -> Result<Option<LockSeen>, Failure> {
        Ok(None)
    }
}

fn failure(message: impl Into<String>) -> Failure {
    Failure {
        kind: FailureKind::Failed,
        message: message.into(),
        service: None,
        last_lines: Vec::new(),
    }
}

impl Default for HandsOptions {
    fn default() -> Self {
        let edge = "lotse-edge".parse();
        Self {
            edge: edge.expect("`lotse-edge` is a name of the Engine"),
            keys: None,
        }
    }
}

impl fmt::Debug for HandsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandsOptions(edge {})", self.edge)
    }
}
