//! Files at any address (`include: remote`), for the server and for the command line.
//!
//! Whoever writes a CI file decides where the request goes, so it is bounded: in time, size and number of
//! redirects, and, unless that is allowed, it does not reach addresses that are not public (the server's own
//! network, and what only it can ask there).

mod public;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use model::Digest;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, StatusCode, Url};
use rustls_platform_verifier::BuilderVerifierExt;

use public::{NotPublic, PublicResolver, is_public};

/// How long one file may take, from the first connection to the last byte.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long a host may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The largest file, in bytes.
const SIZE_LIMIT: u64 = crate::push::CONFIG_LIMIT;

/// How often a host may send the request on.
const REDIRECTS: usize = 5;

/// Which addresses may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Public ones.
    #[default]
    Public,
    /// All, those of this machine and its networks too.
    Everywhere,
}

/// Reads files at addresses.
#[derive(Debug, Clone)]
pub struct Remote {
    http: reqwest::Client,
    reach: Reach,
}

/// Why there is no file. The address is left out: the diagnostic names it, without secrets.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// TLS or the HTTP client cannot be set up.
    #[error("cannot set up an HTTP client: {0}")]
    Setup(String),
    /// No `http` or `https` address.
    #[error("it is no address of http or https")]
    NoAddress,
    /// It leads into a network of the server.
    #[error("its host has no public address")]
    NotPublic,
    /// Too late.
    #[error("it has not come within {} seconds", TIME_LIMIT.as_secs())]
    Slow,
    /// A circle, or a long way.
    #[error("it is sent on more than {REDIRECTS} times")]
    Redirects,
    /// Nobody there, or an end in between.
    #[error("it cannot be fetched: {0}")]
    Unreachable(String),
    /// Another status than success.
    #[error("the host answers {0}")]
    Status(StatusCode),
    /// Too much.
    #[error("it has more than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// Another file than the one that was meant.
    #[error("its checksum is `{found}`")]
    Integrity {
        /// `sha256-…` of what came.
        found: String,
    },
}

impl RemoteError {
    /// How to mend it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotPublic => Some(
                "copy the file into a repository, or start the server with --allow-local-includes",
            ),
            Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Some("the file must be readable without logging in")
            }
            Self::Integrity { .. } => {
                Some("look at what has changed; if it is right, write the new checksum")
            }
            _ => None,
        }
    }
}

impl Remote {
    /// A client that trusts the certificates that the machine trusts.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, RemoteError> {
        let setup = |error: &dyn std::error::Error| RemoteError::Setup(error.to_string());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| setup(&error))?
            .with_no_client_auth();
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .redirect(Policy::custom(move |attempt| follow(attempt, reach)))
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TIME_LIMIT);
        if reach == Reach::Public {
            // Behind a proxy, the proxy looks names up: it decides then what is public.
            let variable = |name: &str| std::env::var(name).ok();
            http = http.dns_resolver(PublicResolver::new(variable));
        }
        let http = http.build().map_err(|error| setup(&error))?;
        Ok(Self { http, reach })
    }

    /// The text of a file; `integrity` is the checksum that it must have, `sha256-` and base64 (W3C,
    /// "Subresource Integrity").
    ///
    /// # Errors
    /// When it does not come, is too large, or another one than was meant.
    pub async fn get(&self, url: &str, integrity: Option<&str>) -> Result<String, RemoteError> {
        let url: Url = url.parse().map_err(|_| RemoteError::NoAddress)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RemoteError::NoAddress);
        }
        if self.reach == Reach::Public && !may_be_public(&url) {
            return Err(RemoteError::NotPublic);
        }
        let response = self.http.get(url).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(RemoteError::Status(response.status()));
        }
        let bytes = read(response).await?;
        if let Some(wanted) = integrity {
            check(&bytes, wanted)?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The body of an answer, which must not be larger than a file of the CI language.
///
/// # Errors
/// When it breaks off or is too large.
pub async fn read(mut response: Response) -> Result<Vec<u8>, RemoteError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(RemoteError::TooLarge);
        }
    }
    Ok(bytes)
}

/// Any of several checksums, separated by spaces, will do.
fn check(bytes: &[u8], wanted: &str) -> Result<(), RemoteError> {
    let hash = Digest::of(bytes).hash();
    let found = format!("sha256-{}", BASE64_STANDARD.encode(hash));
    match wanted.split_whitespace().any(|one| one == found) {
        true => Ok(()),
        false => Err(RemoteError::Integrity { found }),
    }
}

/// Names are looked at when they are looked up.
fn may_be_public(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    address.map_or(!host.is_empty(), is_public)
}

#[derive(Debug, thiserror::Error)]
#[error("sent on too often")]
struct TooOften;

fn follow(attempt: Attempt<'_>, reach: Reach) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(TooOften);
    }
    if reach == Reach::Public && !may_be_public(attempt.url()) {
        return attempt.error(NotPublic);
    }
    attempt.follow()
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn unreachable(error: reqwest::Error) -> RemoteError {
    let causes =
        || std::iter::successors(std::error::Error::source(&error), |error| error.source());
    if causes().any(|cause| cause.is::<NotPublic>()) {
        return RemoteError::NotPublic;
    }
    if causes().any(|cause| cause.is::<TooOften>()) {
        return RemoteError::Redirects;
    }
    if error.is_timeout() {
        return RemoteError::Slow;
    }
    let root = causes().last().map(ToString::to_string);
    RemoteError::Unreachable(root.unwrap_or_else(|| "the request failed".to_owned()))
}
