//! Why there is no way to a host's engine, and how to mend it.

use std::error::Error;

use deploy::HostName;
use docker::{DockerError, Problem};
use ssh::SshError;

/// Why a host's engine cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The host's name is no address.
    #[error("{why}")]
    Address {
        /// The host.
        host: HostName,
        /// Why not.
        why: String,
    },
    /// The machine is not reached.
    #[error("cannot reach {host}")]
    Ssh {
        /// The host.
        host: HostName,
        /// Why not.
        source: Box<SshError>,
    },
    /// The engine does not answer as it should.
    #[error(transparent)]
    Docker(Box<DockerError>),
    /// The machine is reached, but no engine there.
    #[error("{refusal}, and no other way leads to the engine of {host}")]
    NoEngine {
        /// The host.
        host: HostName,
        /// Why the engine's socket was not forwarded.
        refusal: String,
        /// What came of the Docker client there.
        source: Box<DockerError>,
    },
}

impl ReachError {
    pub(super) fn ssh(host: &HostName, error: SshError) -> Self {
        Self::Ssh {
            host: host.clone(),
            source: Box::new(error),
        }
    }

    /// How to mend it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { .. } => Some(
                "expected unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT][/PATH]"
                    .to_owned(),
            ),
            Self::Ssh { source, .. } => source.hint(),
            Self::Docker(error) => hint_of(error),
            Self::NoEngine { .. } => Some(
                "is Docker running there, and is the user in the group `docker`? \
                 A socket elsewhere is named at the end of the address: ssh://HOST/run/user/1000/docker.sock"
                    .to_owned(),
            ),
        }
    }

    /// The whole of it in one line: why, and why that.
    pub fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

/// How to mend an engine's error, where that can be said: also when the machine was not reached.
pub fn hint_of(error: &DockerError) -> Option<String> {
    if let Problem::Unreachable(opening) = error.problem()
        && let Some(inner) = opening.get_ref()
        && let Some(ssh) = inner.downcast_ref::<SshError>()
    {
        return ssh.hint();
    }
    error.hint().map(str::to_owned)
}
