//! What can go wrong: each error names the operation, the object and the engine, and carries the
//! problem as its source.

use std::fmt;
use std::io;
use std::time::Duration;

use bollard::errors::Error as Reply;

use crate::tls::TlsError;
use crate::version::ApiVersion;

/// An operation that an engine did not carry out.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} at {engine}")]
pub struct DockerError {
    operation: Operation,
    engine: String,
    #[source]
    problem: Problem,
}

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No stream to the engine could be opened.
    #[error("the engine cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The stream ended, or what came was no answer. Whether the operation was carried out is
    /// unknown.
    #[error("the connection to the engine broke: {0}")]
    Broken(String),
    /// No answer came in time. Whether the operation was carried out is unknown.
    #[error("the engine did not answer within {}", seconds(.0))]
    TimedOut(Duration),
    /// The object, or one that it needs, does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The object is in a state, or in use, so that the operation is impossible; or its name is
    /// taken.
    #[error("{0}")]
    Conflict(String),
    /// The engine, or a registry that it asked, refuses or fails.
    #[error("{message}")]
    Refused {
        /// The HTTP status; nothing when the failure came after the answer had begun.
        status: Option<u16>,
        /// The engine's words.
        message: String,
    },
    /// The engine speaks no version of the API that this crate speaks.
    #[error(
        "it speaks the Engine API {oldest} to {newest}, and Lotse {} to {}",
        ApiVersion::OLDEST,
        ApiVersion::NEWEST
    )]
    Version {
        /// The oldest version that it speaks.
        oldest: ApiVersion,
        /// The newest version that it speaks.
        newest: ApiVersion,
    },
    /// The address needs TLS, and there are no certificates for it.
    #[error(
        "without TLS everybody on the way could take the machine over: certificates are needed"
    )]
    NeedsTls,
    /// The certificates cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The engine's answer has not the form that it should have.
    #[error("its answer is not understood: {0}")]
    Strange(String),
    /// More came than was asked for.
    #[error("there was more than {0} bytes of output")]
    TooLong(usize),
}

/// Nothing for an object that does not exist.
///
/// # Errors
/// The error that it was, when it was another.
pub fn if_found<T>(outcome: Result<T, DockerError>) -> Result<Option<T>, DockerError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

impl DockerError {
    pub(crate) fn new(
        operation: &Operation,
        engine: impl fmt::Display,
        problem: impl Into<Problem>,
    ) -> Self {
        Self {
            operation: operation.clone(),
            engine: engine.to_string(),
            problem: problem.into(),
        }
    }

    /// Why.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether the object, or one that it needs, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.problem, Problem::NotFound(_))
    }

    /// Whether the object's state or another object stands in the way.
    pub fn is_conflict(&self) -> bool {
        matches!(self.problem, Problem::Conflict(_))
    }

    /// Whether the engine was not reached, or the connection broke, or no answer came in time.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self.problem,
            Problem::Unreachable(_) | Problem::Broken(_) | Problem::TimedOut(_)
        )
    }

    /// Whether an engine or its containerd that ended amid a container's start has left something under
    /// the container's id. It cannot be started any more then, but one that is made in its place can.
    ///
    /// The engine has no status of its own for this: these are its words (20.10) and those of containerd,
    /// its shim and runc (moby 36145, 39630, 50040).
    pub fn is_left_behind(&self) -> bool {
        let says = |words: &[&str]| words.iter().all(|words| self.words().contains(words));
        self.operation.doing == START
            && (says(&["id already in use"])
                || says(&["task ", "already exists"])
                || says(&["container with id exists"])
                || says(&["containerd.runtime", "file exists"]))
    }

    /// Whether the engine's containerd ended meanwhile, or is away. The engine hands gRPC's words on.
    pub(crate) fn lacks_containerd(&self) -> bool {
        self.words().ends_with(": unavailable")
    }

    /// What the engine says to its refusal.
    fn words(&self) -> &str {
        match &self.problem {
            Problem::Conflict(message) | Problem::Refused { message, .. } => message,
            _ => "",
        }
    }

    /// How to mend it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.problem {
            Problem::Unreachable(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("members of the group `docker` and root may use the engine")
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Some("is Docker installed and running there? `systemctl start docker`")
                }
                _ => Some("is the host up, and does a firewall let the connection through?"),
            },
            Problem::Broken(_) | Problem::TimedOut(_) => {
                Some("look at the engine's log on its host: `journalctl -u docker`")
            }
            Problem::Version { .. } => Some("Docker 20.10 or newer is needed"),
            Problem::NeedsTls | Problem::Tls(_) => {
                Some("DOCKER_CERT_PATH names a folder with ca.pem, cert.pem and key.pem")
            }
            _ if self.is_left_behind() => Some(
                "an engine or a containerd that ended amid a start has left something under the container's id: \
                 remove the container, and have it made anew",
            ),
            _ => None,
        }
    }
}

/// What [`crate::Engine::start_container`] does.
pub(crate) const START: &str = "start the container";

/// What was asked of which object, as it stands behind "cannot".
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    doing: &'static str,
    object: Option<String>,
}

impl Operation {
    pub(crate) fn of(doing: &'static str, object: &dyn fmt::Display) -> Self {
        Self {
            doing,
            object: Some(object.to_string()),
        }
    }

    pub(crate) fn plain(doing: &'static str) -> Self {
        Self {
            doing,
            object: None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) => write!(f, "{} `{object}`", self.doing),
            None => f.write_str(self.doing),
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Marks an error of opening a stream on its way through bollard.
#[derive(Debug, thiserror::Error)]
#[error("the stream could not be opened")]
pub(crate) struct NotConnected(#[source] pub(crate) io::Error);

impl From<Reply> for Problem {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::DockerResponseServerError {
                status_code,
                message,
            } => of_status(status_code, message),
            Reply::DockerStreamError { error } => Self::Refused {
                status: None,
                message: error,
            },
            Reply::IOError { err } => of_io(err),
            Reply::JsonDataError { message, .. } => Self::Strange(message),
            Reply::JsonSerdeError { err } => Self::Strange(err.to_string()),
            Reply::HyperResponseError { err } => Self::Broken(with_sources(&err)),
            other => Self::Strange(with_sources(&other)),
        }
    }
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        Self::Tls(with_sources(&error))
    }
}

fn of_status(status: u16, message: String) -> Problem {
    let message = match message.trim() {
        "" => format!("the engine answers with status {status}"),
        message => message.to_owned(),
    };
    match status {
        404 => Problem::NotFound(message),
        409 => Problem::Conflict(message),
        status => Problem::Refused {
            status: Some(status),
            message,
        },
    }
}

fn of_io(error: io::Error) -> Problem {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<NotConnected>())
    {
        let inner = error.into_inner().and_then(|inner| inner.downcast().ok());
        let opening = inner.map(|not: Box<NotConnected>| not.0);
        return Problem::Unreachable(opening.unwrap_or_else(|| io::ErrorKind::Other.into()));
    }
    Problem::Broken(error.to_string())
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
