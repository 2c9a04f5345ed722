//! Certificates from files: chosen by the name that the client asks for, read anew when they
//! change.
//!
//! A file that cannot be used is refused when it comes with a `set`, and only reported when it
//! changes under way: the certificate before is better than none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::edge::shared::Shared;
use crate::route::Listen;
use crate::spec::TlsSpec;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A certificate with its key, as the files have it now.
pub(crate) struct Certificate {
    spec: TlsSpec,
    /// Nothing while the files cannot be used after a restart.
    current: RwLock<Option<Loaded>>,
}

struct Loaded {
    key: Arc<CertifiedKey>,
    stamp: Stamp,
}

/// Tells whether files have changed.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// What is wrong with a certificate's files.
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
}

impl Certificate {
    pub(crate) fn load(spec: &TlsSpec) -> Result<Self, CertificateError> {
        let current = RwLock::new(Some(Loaded::read(spec)?));
        Ok(Self {
            spec: spec.clone(),
            current,
        })
    }

    /// As it was before a restart; files that cannot be used now may be mended later.
    pub(crate) fn restore(spec: &TlsSpec) -> Self {
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
    fn read(spec: &TlsSpec) -> Result<Self, CertificateError> {
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

fn stamp(spec: &TlsSpec) -> Stamp {
    [&spec.certificate, &spec.key].map(|path| {
        let there = fs_err::metadata(path).ok()?;
        Some((there.modified().ok()?, there.len()))
    })
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
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
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
        let certificate = self.shared.table.certificate(self.listen, &name)?;
        certificate.key()
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
            certificates
                .iter()
                .for_each(|certificate| certificate.refresh());
        });
        if looked.await.is_err() {
            return;
        }
    }
}
