//! Why a call to the server came to nothing, and whether to make it again.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;

use crate::tls::TlsError;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is no address.
    #[error("`{url}` is not the address of a server: write it like https://lotse.example.org")]
    Address {
        /// What was given.
        url: String,
    },
    /// TLS is not to be had.
    #[error("cannot speak TLS to the server")]
    Tls(#[source] TlsError),
    /// The HTTP library refuses.
    #[error("cannot set up HTTP")]
    Setup(#[source] reqwest::Error),
    /// No answer.
    #[error("cannot {action} at {server}")]
    NoAnswer {
        /// What was to be done.
        action: &'static str,
        /// Where.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Another answer than hoped for.
    #[error("cannot {action} at {server}: it answered {status}{}", colon(message))]
    Refused {
        /// What was to be done.
        action: &'static str,
        /// Where.
        server: String,
        /// The status.
        status: StatusCode,
        /// The server's explanation, or nothing.
        message: String,
        /// How long the server wants to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// A file on this machine.
    #[error("cannot use {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An answer that makes no sense.
    #[error("cannot {action}: the answer of {server} is not what GitLab's runner protocol says")]
    Nonsense {
        /// What was to be done.
        action: &'static str,
        /// Where.
        server: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

fn colon(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl ClientError {
    /// The status, when there was an answer.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server said no to the token.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.status(),
            Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
        )
    }

    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same call may succeed later: no answer, or a server that is not well.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::REQUEST_TIMEOUT
                            | StatusCode::CONFLICT
                    )
            }
            _ => false,
        }
    }
}
