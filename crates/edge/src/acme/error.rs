//! Why there is no certificate, said so that it can be mended.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::client::tls::CertificateError;
use crate::span::Span;

/// Why a certificate could not be had by ACME.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The user has not agreed to the terms.
    #[error(
        "the terms of service of {directory} are not agreed to: start the edge with --acme-agree-terms"
    )]
    NotAgreed {
        /// The CA.
        directory: String,
    },
    /// The file of trusted roots cannot be used.
    #[error("cannot read certificates from {}, which the ACME server is to be known by", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// TLS towards the CA cannot be set up.
    #[error(
        "TLS towards the ACME server cannot be set up: name a file of trusted certificates with --acme-root"
    )]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client for ACME cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The CA does not answer, or not as it should.
    #[error("{directory} does not answer as an ACME server does")]
    Unreachable {
        /// The CA.
        directory: String,
        /// What happened.
        source: instant_acme::Error,
    },
    /// The CA refused.
    #[error("{directory} refused: {reason}")]
    Refused {
        /// The CA.
        directory: String,
        /// What it said.
        reason: String,
    },
    /// The CA could not see that the name leads here.
    #[error("it was not proven that {name} leads to this edge{}", list(reasons))]
    Unproven {
        /// The name.
        name: String,
        /// The challenges that were tried, and what came of them.
        reasons: Vec<String>,
    },
    /// The CA has asked for patience.
    #[error("the CA does not want to be asked before {until}: {reason}")]
    TooEarly {
        /// From when on it may be asked.
        until: Timestamp,
        /// What it said.
        reason: String,
    },
    /// What came is no certificate for the name.
    #[error("what the CA issued for {name} cannot be used")]
    Unusable {
        /// The name.
        name: String,
        /// Why not.
        source: CertificateError,
    },
    /// The folder cannot be read or written.
    #[error("the certificates' folder cannot be used")]
    Store(#[source] std::io::Error),
    /// The account's file makes no sense.
    #[error("the ACME account in {} makes no sense: move it away to begin with a new one", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The proof by TLS could not be made.
    #[error("the certificate for the challenge cannot be made")]
    Challenge(#[source] rcgen::Error),
    /// The CA took longer than a set could wait.
    #[error("the certificate for {name} did not come within {deadline}, the order goes on")]
    Late {
        /// The name.
        name: String,
        /// How long was waited.
        deadline: Span,
    },
    /// The CA took too long with everything.
    #[error("{directory} takes too long over an order")]
    Slow {
        /// The CA.
        directory: String,
    },
    /// The edge ends, or has handed over.
    #[error("the edge ended before the certificate had come")]
    Ended,
}

impl AcmeError {
    /// Whether the CA has counted the failure, so that it must not be repeated soon.
    pub(super) fn is_counted(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Ended
        )
    }
}

fn list(reasons: &[String]) -> String {
    let lines = reasons.iter().map(|reason| format!("\n  {reason}"));
    lines.collect()
}
