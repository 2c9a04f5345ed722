//! Where the certificate of a route comes from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;
use crate::text::text_serde;

/// Where the certificate of a route comes from: `{"certificate": …, "key": …}` or `{"acme": {}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TlsText", into = "TlsText")]
pub enum TlsSpec {
    /// From files.
    Files(CertificateFiles),
    /// From a CA, for the route's host name.
    Acme(AcmeSpec),
}

/// Both files are in PEM form, and are read anew when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The file of the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
}

/// A certificate that the edge orders and renews itself (RFC 8555).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeSpec {
    /// How the CA is to see that the name leads here; without it TLS-ALPN-01, then HTTP-01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
}

/// How a CA sees that a name leads to the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Challenge {
    /// By a request to port 80 (RFC 8555, section 8.3).
    Http01,
    /// By a TLS handshake with port 443 (RFC 8737).
    TlsAlpn01,
}

/// How [`TlsSpec`] is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acme: Option<AcmeSpec>,
}

impl TryFrom<TlsText> for TlsSpec {
    type Error = &'static str;

    fn try_from(text: TlsText) -> Result<Self, Self::Error> {
        match (text.certificate, text.key, text.acme) {
            (Some(certificate), Some(key), None) => {
                Ok(Self::Files(CertificateFiles { certificate, key }))
            }
            (None, None, Some(acme)) => Ok(Self::Acme(acme)),
            _ => Err("tls needs `certificate` and `key`, or `acme` alone"),
        }
    }
}

impl From<TlsSpec> for TlsText {
    fn from(spec: TlsSpec) -> Self {
        let (files, acme) = match spec {
            TlsSpec::Files(files) => (Some(files), None),
            TlsSpec::Acme(acme) => (None, Some(acme)),
        };
        let (certificate, key) = files.map(|files| (files.certificate, files.key)).unzip();
        Self {
            certificate,
            key,
            acme,
        }
    }
}

impl FromStr for Challenge {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text {
            "http-01" => Ok(Self::Http01),
            "tls-alpn-01" => Ok(Self::TlsAlpn01),
            other => Err(SpecError::Challenge(other.to_owned())),
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

text_serde!(Challenge);

#[cfg(test)]
mod tests {
    use crate::spec::RouteSpec;

    #[test]
    fn tls_comes_from_files_or_from_a_ca() {
        let cases = [
            (r#"{"certificate":"/c","key":"/k"}"#, "www.example.org", ""),
            (r#"{"acme":{}}"#, "www.example.org", ""),
            (r#"{"acme":{"challenge":"http-01"}}"#, "www.example.org", ""),
            (
                r#"{"acme":{"challenge":"dns-01"}}"#,
                "www.example.org",
                "http-01 or tls-alpn-01",
            ),
            (
                r#"{"acme":{},"key":"/k"}"#,
                "www.example.org",
                "`acme` alone",
            ),
            (
                r#"{"certificate":"/c"}"#,
                "www.example.org",
                "`certificate` and `key`",
            ),
            (r#"{}"#, "www.example.org", "`certificate` and `key`"),
            (
                r#"{"acme":{"names":[]}}"#,
                "www.example.org",
                "unknown field",
            ),
            (r#"{"acme":{}}"#, "*.example.org", "wildcard"),
            (r#"{"acme":{}}"#, "*", "give it a host name"),
            (r#"{"acme":{}}"#, "10.0.0.1", "an address has no name"),
            (r#"{"certificate":"/c","key":"/k"}"#, "*.example.org", ""),
        ];
        for (tls, host, reason) in cases {
            let json = format!(
                r#"{{"route":{{"listen":"443","host":"{host}"}},"targets":["10.0.0.1:80"],"tls":{tls}}}"#
            );
            let parsed = serde_json::from_str::<RouteSpec>(&json).map_err(|e| e.to_string());
            let checked = parsed.and_then(|spec| {
                assert!(serde_json::to_string(&spec).unwrap().contains(tls), "{tls}");
                spec.check().map_err(|e| e.to_string())
            });
            match (checked, reason) {
                (Ok(()), "") => {}
                (Err(error), reason) if !reason.is_empty() => {
                    assert!(error.contains(reason), "{tls} {host}: {error}");
                }
                (other, _) => panic!("{tls} {host}: {other:?}"),
            }
        }
    }
}
