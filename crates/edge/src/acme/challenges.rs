//! What the edge answers when a CA comes to see whether a name leads here.
//!
//! By HTTP (RFC 8555, section 8.3) on every plain port, before routes and redirects; by TLS
//! (RFC 8737) on every TLS port. A port whose first route still waits for its certificate listens
//! ahead of the route, for the CA's sake.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::error::AcmeError;
use crate::route::Listen;

/// The protocol that a CA asks for (RFC 8737, section 6.2).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

/// See the module.
#[derive(Default)]
pub(crate) struct Challenges(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    tokens: HashMap<String, String>,
    names: HashMap<String, Arc<CertifiedKey>>,
    ahead: Vec<Ahead>,
}

/// A port that listens before it has a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) listen: Listen,
    pub(crate) tls: bool,
}

/// An answer that is given as long as this is held.
pub(super) struct Answer<'a> {
    challenges: &'a Challenges,
    key: Key,
}

enum Key {
    Token(String),
    Name(String),
}

impl Challenges {
    /// The answer to a request for this path, if a CA is waiting for it.
    pub(crate) fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(WELL_KNOWN)?;
        self.read().tokens.get(token).cloned()
    }

    /// The certificate for a handshake that only wants to see it.
    pub(crate) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.read().names.get(name).map(Arc::clone)
    }

    /// Whether a port listens for challenges only, and whether it speaks TLS then.
    pub(crate) fn ahead(&self, listen: Listen) -> Option<bool> {
        let inner = self.read();
        let found = inner.ahead.iter().find(|ahead| ahead.listen == listen);
        found.map(|ahead| ahead.tls)
    }

    /// Whether some port speaks HTTP without TLS ahead of its route.
    pub(super) fn has_plain_ahead(&self) -> bool {
        self.read().ahead.iter().any(|ahead| !ahead.tls)
    }

    pub(crate) fn all_ahead(&self) -> Vec<Listen> {
        let inner = self.read();
        inner.ahead.iter().map(|ahead| ahead.listen).collect()
    }

    pub(super) fn begin_ahead(&self, ports: &[Ahead]) {
        self.write().ahead.extend(ports);
    }

    /// Two sets may wait for the same port: each ends its own.
    pub(super) fn end_ahead(&self, ports: &[Ahead]) {
        let ahead = &mut self.write().ahead;
        for port in ports {
            if let Some(place) = ahead.iter().position(|other| other == port) {
                ahead.swap_remove(place);
            }
        }
    }

    pub(super) fn by_http(&self, token: &str, answer: &str) -> Answer<'_> {
        let (key, answer) = (token.to_owned(), answer.to_owned());
        self.write().tokens.insert(key, answer);
        Answer {
            challenges: self,
            key: Key::Token(token.to_owned()),
        }
    }

    pub(super) fn by_tls(&self, name: &str, digest: &[u8]) -> Result<Answer<'_>, AcmeError> {
        let certificate = proof(name, digest).map_err(AcmeError::Challenge)?;
        let certificate = Arc::new(certificate);
        self.write().names.insert(name.to_owned(), certificate);
        Ok(Answer {
            challenges: self,
            key: Key::Name(name.to_owned()),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let mut inner = self.challenges.write();
        match &self.key {
            Key::Token(token) => drop(inner.tokens.remove(token)),
            Key::Name(name) => drop(inner.names.remove(name)),
        }
    }
}

/// Whether the handshake is a CA's: it offers the one protocol only (RFC 8737, section 3).
pub(crate) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none())
}

fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, rcgen::Error> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not checked against the certificate: its critical extension is one that checks refuse.
    let key = rustls::crypto::ring::sign::any_supported_type(&der);
    let key = key.map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_as_long_as_it_is_held() {
        let challenges = Challenges::default();
        let held = challenges.by_http("token", "token.print");
        let answer = challenges.answer("/.well-known/acme-challenge/token");
        assert_eq!(answer.as_deref(), Some("token.print"));
        for other in [
            "/token",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/x",
        ] {
            assert_eq!(challenges.answer(other), None, "{other}");
        }
        drop(held);
        assert_eq!(challenges.answer("/.well-known/acme-challenge/token"), None);

        let held = challenges.by_tls("www.example.org", &[7; 32]).unwrap();
        assert!(challenges.certificate("www.example.org").is_some());
        assert!(challenges.certificate("example.org").is_none());
        drop(held);
        assert!(challenges.certificate("www.example.org").is_none());
    }

    #[test]
    fn a_port_listens_ahead_until_the_last_set_has_what_it_waited_for() {
        let challenges = Challenges::default();
        let listen = "127.0.0.1:443".parse().unwrap();
        let port = [Ahead { listen, tls: true }];
        challenges.begin_ahead(&port);
        challenges.begin_ahead(&port);
        challenges.end_ahead(&port);
        assert_eq!(challenges.ahead(listen), Some(true));
        challenges.end_ahead(&port);
        assert_eq!(challenges.ahead(listen), None);
    }
}
