//! Why an edge could not be put on a host.

use docker::{DockerError, Name};

/// Why an edge could not be put on a host, or taken from it.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The engine did not do something.
    #[error(transparent)]
    Docker(DockerError),
    /// The name is too long for a second container beside it.
    #[error("`{0}` is too long a name for an edge")]
    Name(Name),
    /// The name is taken.
    #[error("the container `{0}` is no edge of Lotse, so it stays as it is: take another name")]
    NotOurs(Name),
    /// The host has other processors.
    #[error(
        "this program runs on {ours} processors, and the host {engine} has {theirs}: \
         use a Lotse that was built for {theirs}"
    )]
    Architecture {
        /// The host.
        engine: String,
        /// Ours, in Go's words.
        ours: String,
        /// Theirs.
        theirs: String,
    },
    /// This program's own file cannot be read.
    #[error("cannot make the edge's image from this program's own file")]
    Binary(#[source] std::io::Error),
    /// The image's name is none; that cannot be.
    #[error("the edge's image has no name")]
    Image(#[source] docker::NameError),
    /// The new edge does not serve.
    #[error("the new edge did not start{}", said(.0))]
    NotReady(String),
}

impl EdgeError {
    /// How to mend it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Docker(error) => error.hint(),
            _ => None,
        }
    }
}

impl From<DockerError> for EdgeError {
    fn from(error: DockerError) -> Self {
        Self::Docker(error)
    }
}

fn said(lines: &str) -> String {
    match lines.trim() {
        "" => " and said nothing".to_owned(),
        lines => format!("; its last words:\n{lines}"),
    }
}
