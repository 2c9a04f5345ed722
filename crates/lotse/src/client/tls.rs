//! TLS with ring as its one provider, passed explicitly, and the roots that the machine trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::output::Failure;

/// A configuration that trusts what the machine trusts.
pub(super) fn trusting_the_machine() -> Result<ClientConfig, Failure> {
    let failed = |error: &rustls::Error| {
        Failure::user("cannot set up TLS")
            .because(error)
            .hint("are the certificates of this machine installed (Debian: ca-certificates)?")
    };
    let config = builder()?
        .with_platform_verifier()
        .map_err(|error| failed(&error))?;
    Ok(config.with_no_client_auth())
}

/// A configuration that trusts nobody, for connections that speak plain HTTP: reading the
/// machine's certificates takes longer than the whole command.
pub(super) fn trusting_nobody() -> Result<ClientConfig, Failure> {
    let config = builder()?.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Failure> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal("cannot set up TLS").because(&error))
}
