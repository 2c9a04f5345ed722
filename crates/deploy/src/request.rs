//! What somebody asks for.

use crate::name::{EnvironmentName, Holder, ReleaseNumber};
use crate::release::Draft;
use crate::settings::Environment;

/// One deploy or rollback of an environment.
#[derive(Debug, Clone)]
pub struct Request {
    /// The environment's name.
    pub name: EnvironmentName,
    /// What `lotse.toml` says of it.
    pub environment: Environment,
    /// What shall be.
    pub desired: Desired,
    /// Who asks.
    pub holder: Holder,
    /// The version that the edge shall have.
    pub edge: String,
}

/// What shall be.
#[derive(Debug, Clone)]
pub enum Desired {
    /// This, under a number of its own; or under the number that it had, when hosts know it.
    Deploy(Box<Draft>),
    /// The same, in place of the containers that Docker Compose has made of this project: they are
    /// stopped as late as can be, and started again on a failure.
    Adopt(Box<Draft>),
    /// What was before: the end of what was cut off, else the release that was in force before the
    /// one in force.
    Back,
    /// This release, which hosts know.
    BackTo(ReleaseNumber),
}
