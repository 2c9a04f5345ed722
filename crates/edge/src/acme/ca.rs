//! Talking with one CA: an account, an order, the proof that a name leads here.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt as _, Full};
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::challenges::{Answer, Challenges};
use super::error::AcmeError;
use super::schedule;
use super::store::{Pem, Store};
use crate::settings::AcmeSettings;
use crate::spec::Challenge;

/// One answer of the CA takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// One answer of the CA is no larger, in bytes.
const LARGEST: usize = 1 << 20;
/// How long the CA may look for the proof, and how long it may take to sign.
const LOOKING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));
const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// A CA that knows this edge.
pub(super) struct Ca<'a> {
    settings: &'a AcmeSettings,
    account: Account,
    http: Http,
}

/// Why an order came to nothing.
pub(super) enum Failure {
    /// This challenge failed; another may not.
    Challenge(String),
    /// The CA would say the same again.
    Other(AcmeError),
}

impl<'a> Ca<'a> {
    /// Uses the account that is kept, or makes one.
    pub(super) async fn connect(
        settings: &'a AcmeSettings,
        store: &Store,
        http: &Http,
    ) -> Result<Self, AcmeError> {
        let builder = || Account::builder_with_http(Box::new(http.clone()));
        let kept = store.account()?;
        let account = match kept {
            Some(kept) => builder().from_credentials(kept).await,
            None => {
                let contact = settings
                    .contact
                    .as_ref()
                    .map(|mail| format!("mailto:{mail}"));
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                let asked = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: settings.terms_agreed,
                    only_return_existing: false,
                };
                let made = builder().create(&asked, settings.directory.clone(), None);
                match made.await {
                    Ok((account, credentials)) => {
                        store.save_account(&credentials)?;
                        Ok(account)
                    }
                    Err(error) => Err(error),
                }
            }
        };
        Ok(Self {
            account: account.map_err(|error| refused(settings, error))?,
            settings,
            http: http.clone(),
        })
    }

    /// A key and a certificate for the name, proven by this challenge.
    pub(super) async fn order(
        &self,
        name: &str,
        challenge: Challenge,
        challenges: &Challenges,
    ) -> Result<Pem, Failure> {
        self.http.forget_wait();
        let names = [Identifier::Dns(name.to_owned())];
        let order = self.account.new_order(&NewOrder::new(&names)).await;
        let mut order = order.map_err(|error| self.failed(error))?;
        let proofs = self.prove(&mut order, challenge, challenges).await?;
        let looked = order.poll_ready(&LOOKING).await;
        let reason = self.invalid(&mut order).await;
        drop(proofs);
        match (looked, reason) {
            (_, Some(reason)) => return Err(Failure::Challenge(reason)),
            (Ok(OrderStatus::Ready), None) => {}
            (Ok(_), None) => return Err(self.refused("the order is invalid".to_owned())),
            (Err(error), None) => return Err(self.failed(error)),
        }
        let key = order.finalize().await.map_err(|error| self.failed(error))?;
        let chain = order.poll_certificate(&LOOKING).await;
        let chain = chain.map_err(|error| self.failed(error))?;
        Ok(Pem(format!("{key}{chain}")))
    }

    /// Prepares what the CA will look at and tells it that it may come.
    async fn prove<'c>(
        &self,
        order: &mut Order,
        challenge: Challenge,
        challenges: &'c Challenges,
    ) -> Result<Vec<Answer<'c>>, Failure> {
        let mut proofs = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed(error))?;
            // Proven by an earlier order.
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let kind = match challenge {
                Challenge::Http01 => ChallengeType::Http01,
                Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let Some(mut asked) = authorization.challenge(kind) else {
                return Err(Failure::Challenge("the CA does not offer it".to_owned()));
            };
            let answer = asked.key_authorization();
            let name = asked.identifier().to_string();
            proofs.push(match challenge {
                Challenge::Http01 => challenges.by_http(&asked.token, answer.as_str()),
                Challenge::TlsAlpn01 => challenges
                    .by_tls(&name, answer.digest().as_ref())
                    .map_err(Failure::Other)?,
            });
            asked
                .set_ready()
                .await
                .map_err(|error| self.failed(error))?;
        }
        Ok(proofs)
    }

    /// What the CA found when it looked for the proof, if it did not find it.
    async fn invalid(&self, order: &mut Order) -> Option<String> {
        if order.state().status != OrderStatus::Invalid {
            return None;
        }
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let state = authorization.refresh().await.ok()?;
            let mut problems = state.challenges.iter().filter_map(|c| c.error.as_ref());
            if let Some(problem) = problems.next() {
                return Some(said(problem));
            }
        }
        None
    }

    fn failed(&self, error: Error) -> Failure {
        Failure::Other(refused(self.settings, error))
    }

    fn refused(&self, reason: String) -> Failure {
        Failure::Other(AcmeError::Refused {
            directory: self.settings.directory.clone(),
            reason,
        })
    }
}

impl Failure {
    /// Whether the CA has forgotten the account.
    pub(super) fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Other(AcmeError::Refused { reason, .. }) if reason.contains(UNKNOWN_ACCOUNT))
    }
}

fn refused(settings: &AcmeSettings, error: Error) -> AcmeError {
    let directory = settings.directory.clone();
    match error {
        Error::Api(problem) => AcmeError::Refused {
            directory,
            reason: said(&problem),
        },
        source => AcmeError::Unreachable { directory, source },
    }
}

fn said(problem: &instant_acme::Problem) -> String {
    let text = problem.to_string();
    let text = text.strip_prefix("API error: ").unwrap_or(&text);
    // What a stranger wrote goes to a terminal: no control characters, and not without end.
    text.chars()
        .filter(|c| !c.is_control())
        .take(1000)
        .collect()
}

/// The HTTP client for a CA. Remembers how long the CA asks to be left alone.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    wait: Arc<Mutex<Option<Timestamp>>>,
}

impl Http {
    pub(super) fn new(settings: &AcmeSettings) -> Result<Self, AcmeError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(trust(settings.root.as_deref())?)
            .https_only(true)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(AcmeError::Client)?;
        Ok(Self {
            client,
            wait: Arc::default(),
        })
    }

    /// Until when the CA wants no further order, if it said so with a refusal.
    pub(super) fn wait(&self) -> Option<Timestamp> {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_wait(&self) {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn send(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        let body = body.unwrap_or_default();
        let request = http::Request::from_parts(parts, body);
        let request = reqwest::Request::try_from(request).map_err(other)?;
        let mut answer = self.client.execute(request).await.map_err(other)?;
        self.heed(&answer);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(other)? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(Error::Str("an answer of sensible size"));
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut response = http::Response::new(Full::new(bytes.freeze()));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(BytesResponse::from(response))
    }

    /// Seconds; the date that the field may have as well (RFC 9110, section 10.2.3) counts as an
    /// hour.
    fn heed(&self, answer: &reqwest::Response) {
        let status = answer.status();
        if !status.is_client_error() && !status.is_server_error() {
            return;
        }
        let Some(value) = answer.headers().get(RETRY_AFTER) else {
            return;
        };
        let seconds = value.to_str().ok().and_then(|value| value.parse().ok());
        let time = Duration::from_secs(seconds.unwrap_or(3600).min(7 * 24 * 3600));
        let until = schedule::after(Timestamp::now(), time);
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move { http.send(request).await })
    }
}

fn other(error: reqwest::Error) -> Error {
    Error::Other(Box::new(error.without_url()))
}

/// A file of roots is trusted alone; without one, what the system trusts.
fn trust(root: Option<&Path>) -> Result<ClientConfig, AcmeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(AcmeError::Tls)?;
    let Some(path) = root else {
        let builder = builder.with_platform_verifier().map_err(AcmeError::Tls)?;
        return Ok(builder.with_no_client_auth());
    };
    let failed = |source| AcmeError::Root {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(path).map_err(failed)? {
        roots.add(root.map_err(failed)?).map_err(AcmeError::Tls)?;
    }
    if roots.is_empty() {
        let reason = format!("no certificate in PEM form in {}", path.display());
        return Err(AcmeError::Tls(rustls::Error::General(reason)));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
