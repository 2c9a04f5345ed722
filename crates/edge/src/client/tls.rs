//! Certificates: chosen by the name that the client asks for; those from files are read anew when
//! they change, the others come from [`crate::acme`].
//!
//! A file that cannot be used is refused when it comes with a `set`, and only reported when it
//! changes under way: the certificate before is better than none.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use crate::acme::{self, ACME_TLS};
use crate::edge::shared::Shared;
use crate::route::Listen;
use crate::spec::{CertificateFiles, RouteSpec, TlsSpec};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where a route has its certificate from.
pub(crate) enum Certificate {
    Files(FileCertificate),
    /// From a CA, for this name.
    Acme(String),
}

/// A certificate with its key, as the files have it now.
pub(crate) struct FileCertificate {
    spec: CertificateFiles,
    /// Nothing while the files cannot be used after a restart.
    current: RwLock<Option<Loaded>>,
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Names and addresses that it is for.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

struct Loaded {
    key: Arc<CertifiedKey>,
    stamp: Stamp,
}

/// Tells whether files have changed.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// What is wrong with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificates cannot be read.
    #[error("cannot read certificates from {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// The file has none.
    #[error("{} has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The key cannot be read.
    #[error("cannot read a private key from {}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not belong together.
    #[error("the key {} does not fit the certificate {}", key.display(), certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// What was to be a key and certificates is something else.
    #[error("it has no key and certificates in PEM form")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// The key does not fit.
    #[error("the key does not fit the certificate")]
    Mismatch(#[source] rustls::Error),
    /// It says nothing that can be read.
    #[error("the certificate is none that can be read")]
    Unreadable,
    /// It is for others.
    #[error("the certificate is for {0:?} only")]
    OtherNames(Vec<String>),
}

impl Certificate {
    /// What a route needs, if it needs one.
    pub(crate) fn load(spec: &RouteSpec) -> Result<Option<Self>, CertificateError> {
        Ok(match &spec.tls {
            Some(TlsSpec::Files(files)) => Some(Self::Files(FileCertificate::load(files)?)),
            _ => spec.wanted().map(|wanted| Self::Acme(wanted.name)),
        })
    }

    /// As it was before a restart; what cannot be used now may be mended later.
    pub(crate) fn restore(spec: &RouteSpec) -> Option<Self> {
        match &spec.tls {
            Some(TlsSpec::Files(files)) => Some(Self::Files(FileCertificate::restore(files))),
            _ => spec.wanted().map(|wanted| Self::Acme(wanted.name)),
        }
    }
}

impl FileCertificate {
    fn load(spec: &CertificateFiles) -> Result<Self, CertificateError> {
        let current = RwLock::new(Some(Loaded::read(spec)?));
        Ok(Self {
            spec: spec.clone(),
            current,
        })
    }

    fn restore(spec: &CertificateFiles) -> Self {
        Self::load(spec).unwrap_or_else(|error| {
            let reason = crate::error::with_sources(&error);
            tracing::error!("{reason}; no TLS for its names until that is mended");
            Self {
                spec: spec.clone(),
                current: RwLock::new(None),
            }
        })
    }

    fn key(&self) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.as_ref()?.key))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.spec.certificate
    }

    /// What the certificate says that serves now.
    pub(crate) fn facts(&self) -> Option<Facts> {
        Facts::read(self.key()?.end_entity_cert().ok()?)
    }

    /// Reads the files anew if they have changed.
    fn refresh(&self) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let before = current.as_ref().map(|loaded| loaded.stamp);
        drop(current);
        if before == Some(stamp(&self.spec)) {
            return;
        }
        match Loaded::read(&self.spec) {
            Ok(loaded) => {
                tracing::info!(certificate = %self.spec.certificate.display(), "the certificate is renewed");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
            }
            Err(error) => {
                tracing::debug!(%error, "the changed certificate cannot be used (yet)");
            }
        }
    }
}

impl Loaded {
    fn read(spec: &CertificateFiles) -> Result<Self, CertificateError> {
        let stamp = stamp(spec);
        let chain = certificates(&spec.certificate)?;
        let key =
            PrivateKeyDer::from_pem_file(&spec.key).map_err(|source| CertificateError::Key {
                path: spec.key.clone(),
                source,
            })?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|source| {
            CertificateError::Pair {
                certificate: spec.certificate.clone(),
                key: spec.key.clone(),
                source,
            }
        })?;
        Ok(Self {
            key: Arc::new(key),
            stamp,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let failed = |source| CertificateError::Certificates {
        path: path.to_owned(),
        source,
    };
    let read = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    match chain.is_empty() {
        true => Err(CertificateError::NoCertificate(path.to_owned())),
        false => Ok(chain),
    }
}

fn stamp(spec: &CertificateFiles) -> Stamp {
    [&spec.certificate, &spec.key].map(|path| {
        let there = fs_err::metadata(path).ok()?;
        Some((there.modified().ok()?, there.len()))
    })
}

/// A key and its certificates from one text.
pub(crate) fn from_pem(text: &[u8]) -> Result<(CertifiedKey, Facts), CertificateError> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(CertificateError::Pem)?;
    let key = PrivateKeyDer::from_pem_slice(text).map_err(CertificateError::Pem)?;
    let facts = chain.first().and_then(Facts::read);
    let facts = facts.ok_or(CertificateError::Unreadable)?;
    let key =
        CertifiedKey::from_der(chain, key, &provider()).map_err(CertificateError::Mismatch)?;
    Ok((key, facts))
}

impl Facts {
    fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let names = alternative.map(|names| names.value.general_names.iter());
        let time =
            |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some(Self {
            names: names.into_iter().flatten().filter_map(name).collect(),
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress([a, b, c, d]) => Some(Ipv4Addr::new(*a, *b, *c, *d).to_string()),
        GeneralName::IPAddress(bytes) => {
            let bytes = <[u8; 16]>::try_from(*bytes).ok()?;
            Some(Ipv6Addr::from(bytes).to_string())
        }
        _ => None,
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// What a TLS port answers handshakes with.
pub(crate) fn config(shared: &Arc<Shared>, listen: Listen) -> ServerConfig {
    let chooser = Chooser {
        shared: Arc::clone(shared),
        listen,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows a cipher suite of every default version")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols = [b"h2", b"http/1.1" as &[u8], ACME_TLS]
        .map(<[u8]>::to_vec)
        .into();
    config
}

/// Finds the certificate of the most exact route for a name; without a name, or for one that
/// nobody has, the first there is.
struct Chooser {
    shared: Arc<Shared>,
    listen: Listen,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        if acme::is_challenge(&hello) {
            return self.shared.acme.challenges.certificate(&name);
        }
        let certificate = self.shared.table.certificate(self.listen, &name)?;
        match &*certificate {
            Certificate::Files(files) => files.key(),
            Certificate::Acme(name) => Some(Arc::clone(&self.shared.acme.current(name)?.key)),
        }
    }
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chooser({})", self.listen)
    }
}

/// Looks at the files of all certificates until the edge ends.
pub(crate) async fn watch(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shared.over.cancelled() => return,
        }
        let certificates = shared.table.certificates();
        let looked = tokio::task::spawn_blocking(move || {
            for certificate in &certificates {
                if let Certificate::Files(files) = &**certificate {
                    files.refresh();
                }
            }
        });
        if looked.await.is_err() {
            return;
        }
    }
}
