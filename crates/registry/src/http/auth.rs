//! Who is asking: the token protocol of Docker's registries, and plain Basic credentials.
//!
//! `/v2` answers a request without credentials with the address of the token endpoint, made from
//! the name that the client used for us, since one registry is reached under several.
//! A token says who holds it; the `scope` and `service` that clients send are of no consequence,
//! because rights are asked of `Access` at each request.

use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Uri};
use model::Secret;
use serde_json::json;

use super::Service;
use super::failure::{Code, Failure};
use crate::token::{Caller, LIFETIME};
use crate::{Action, Identity, RepositoryName};

/// How the client reached us: `http://host:port`.
pub(super) struct Origin {
    scheme: &'static str,
    host: String,
}

impl Origin {
    pub(super) fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let forwarded = headers.get("x-forwarded-proto");
        let is_https = forwarded.is_some_and(|proto| proto.as_bytes().starts_with(b"https"));
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
        Self {
            scheme: if is_https { "https" } else { "http" },
            host: host
                .filter(|h| is_host(h))
                .unwrap_or("localhost")
                .to_owned(),
        }
    }

    /// What an answer 401 says about where a token can be had.
    pub(super) fn challenge(&self, scope: Option<&str>) -> HeaderValue {
        let Self { scheme, host } = self;
        let mut text = format!(r#"Bearer realm="{scheme}://{host}/jwt/auth",service="lotse""#);
        if let Some(scope) = scope {
            text.push_str(&format!(r#",scope="{scope}""#));
        }
        HeaderValue::from_str(&text).expect("host and scope were checked to be plain ASCII")
    }

    /// The answer to someone who gave no credentials and needs some.
    pub(super) fn login_needed(&self, name: &RepositoryName, action: Action) -> Failure {
        let scope = format!("repository:{name}:{}", action.scope());
        let host = &self.host;
        let message = format!("log in to {action} {name}: `docker login {host}`");
        unauthorized(message, self.challenge(Some(&scope)))
    }
}

/// Only characters that a host and port can have, so that nobody can write into our headers.
fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    !text.is_empty() && text.len() <= 261 && text.bytes().all(allowed)
}

fn unauthorized(message: impl Into<String>, challenge: HeaderValue) -> Failure {
    Failure::new(Code::Unauthorized, message).with_header(WWW_AUTHENTICATE, challenge)
}

impl Service {
    /// Who sent a request with these headers.
    pub(super) async fn caller(
        &self,
        headers: &HeaderMap,
        challenge: &HeaderValue,
    ) -> Result<Caller, Failure> {
        match Credentials::of(headers) {
            Credentials::None => Err(unauthorized(
                "authentication required: ask the address in WWW-Authenticate for a token, as `docker login` does",
                challenge.clone(),
            )),
            Credentials::Bearer(token) => {
                self.key.verify(&token, SystemTime::now()).ok_or_else(|| {
                    unauthorized(
                        "the token was not issued here or has expired: ask for a new one",
                        challenge.clone(),
                    )
                })
            }
            Credentials::Basic { user, password } => {
                self.log_in(&user, &password, challenge).await.map(Some)
            }
            Credentials::Unreadable => Err(unauthorized(
                "the Authorization header cannot be read: send `Basic` or `Bearer` credentials",
                challenge.clone(),
            )),
        }
    }

    async fn log_in(
        &self,
        user: &str,
        password: &Secret,
        challenge: &HeaderValue,
    ) -> Result<Identity, Failure> {
        let found = self.access.authenticate(user, password).await;
        let found = found.map_err(|source| {
            Failure::internal("the registry cannot check your password", source)
        })?;
        found.ok_or_else(|| {
            unauthorized(
                "wrong user name, or wrong or expired password or token: check both and run `docker login` again",
                challenge.clone(),
            )
        })
    }

    async fn token(&self, credentials: Credentials) -> Result<Response, Failure> {
        let challenge = HeaderValue::from_static(r#"Basic realm="lotse""#);
        let caller = match credentials {
            Credentials::None => None,
            Credentials::Basic { user, password } => {
                Some(self.log_in(&user, &password, &challenge).await?)
            }
            Credentials::Bearer(_) | Credentials::Unreadable => {
                return Err(unauthorized(
                    "a token is given for a user name and a password: send them as `Basic` credentials",
                    challenge,
                ));
            }
        };
        let now = SystemTime::now();
        let token = self.key.sign(&caller, now);
        let body = json!({
            "token": token,
            "access_token": token,
            "expires_in": LIFETIME.as_secs(),
            "issued_at": rfc3339(now),
        });
        Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
    }
}

/// `GET /jwt/auth` (Docker registry, "Token Authentication Specification").
pub(super) async fn get_token(
    State(service): State<Service>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    service.token(Credentials::of(&headers)).await
}

/// `POST /jwt/auth` (Docker registry, "OAuth2 Token Authentication"): credentials in a form.
pub(super) async fn post_token(
    State(service): State<Service>,
    headers: HeaderMap,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Result<Response, Failure> {
    let pairs = match form {
        Ok(Form(pairs)) => pairs,
        // Some clients send nothing but the header.
        Err(FormRejection::InvalidFormContentType(_)) => Vec::new(),
        Err(rejection) => return Err(Failure::new(Code::Unsupported, rejection.body_text())),
    };
    let field = |key: &str| {
        pairs
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    };
    let credentials = match (field("grant_type"), field("username"), field("password")) {
        (Some("refresh_token"), ..) => {
            return Err(Failure::new(
                Code::Unsupported,
                "this registry gives no refresh tokens: send `grant_type=password`, or `Basic` credentials with GET",
            ));
        }
        (_, Some(user), Some(password)) => Credentials::Basic {
            user: user.to_owned(),
            password: password.into(),
        },
        _ => Credentials::of(&headers),
    };
    service.token(credentials).await
}

enum Credentials {
    None,
    Basic { user: String, password: Secret },
    Bearer(String),
    Unreadable,
}

impl Credentials {
    fn of(headers: &HeaderMap) -> Self {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Self::None;
        };
        Self::parse(header).unwrap_or(Self::Unreadable)
    }

    fn parse(header: &HeaderValue) -> Option<Self> {
        let (scheme, value) = header.to_str().ok()?.split_once(' ')?;
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(value.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self::Basic {
            user: user.to_owned(),
            password: password.into(),
        })
    }
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or_default()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(headers: &[(&'static str, &'static str)]) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name = http::header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let origin = Origin::of(&headers, &Uri::from_static("/v2/"));
        origin.challenge(None).to_str().unwrap().to_owned()
    }

    #[test]
    fn the_realm_is_the_name_the_client_used() {
        assert_eq!(
            challenge(&[("host", "registry.example:5000")]),
            r#"Bearer realm="http://registry.example:5000/jwt/auth",service="lotse""#
        );
        let behind_tls = challenge(&[("host", "[::1]:5000"), ("x-forwarded-proto", "https")]);
        assert!(behind_tls.contains(r#"realm="https://[::1]:5000/jwt/auth""#));
    }

    #[test]
    fn nobody_writes_into_our_headers() {
        for host in [r#"a",scope="x"#, "a b", "", "a/b", "user@a"] {
            assert!(!is_host(host), "{host}");
        }
    }
}
