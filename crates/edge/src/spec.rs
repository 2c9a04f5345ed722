//! What a user asks of a route: its targets, how their health is told, what is special about it.
//!
//! The same types go over the control socket and into the state file. Nothing here is alive; what
//! a spec is turned into is [`crate::target::pool`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::route::{HostPattern, PathPrefix, RouteKey};
use crate::span::Span;
use crate::text::text_serde;

/// A route and where it leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// What a request must match.
    pub route: RouteKey,
    /// How the port is spoken to.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where requests go; at least one.
    #[serde(default)]
    pub targets: Vec<TargetSpec>,
    /// How the targets' health is told.
    #[serde(default)]
    pub health: HealthSpec,
    /// Send a client that came once to the same target again, by a cookie.
    #[serde(default)]
    pub affinity: bool,
    /// Speak HTTP/2 to the targets, without asking first (RFC 9113, section 3.3).
    #[serde(default)]
    pub target_http2: bool,
    /// Begin each connection to a target with the client's address (PROXY protocol).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_proxy: Option<ProxyVersion>,
    /// The largest request body in bytes; bigger ones are answered 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<u64>,
    /// How long a target may take until its answer begins; then 504.
    #[serde(default = "default_response_timeout")]
    pub response_timeout: Span,
    /// Speak TLS to clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Send clients to the same address with https, on this port, in place of answering them; such
    /// a route needs no targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_https: Option<u16>,
    /// Tell browsers to come with https only, for so long (RFC 6797).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Span>,
    /// The page (HTML) that is shown while no target is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_page: Option<String>,
    /// Whose it is; comes from [`crate::Set::owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// Whose routes are, in the owner's own words: at most 500 characters, none of them for control.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(String);

fn default_response_timeout() -> Span {
    Span::seconds(300)
}

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

/// How a port is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP, each request by itself.
    #[default]
    Http,
    /// Bytes, each connection as a whole.
    Tcp,
}

/// The form of the PROXY protocol's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// An address that requests go to: `10.0.0.2:8080`, or `10.0.0.2:8080*3` with weight 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetSpec {
    /// Where the target listens.
    pub address: SocketAddr,
    /// Its share of the requests relative to the others', 1 to 1000.
    pub weight: u32,
}

/// How a target's health is told, at `set` and while it serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSpec {
    /// The path that is asked for; without it a target is healthy when it takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The host name that is asked for; by default the target's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The statuses that are healthy.
    pub status: StatusRange,
    /// The time between two checks of a healthy target.
    pub interval: Span,
    /// How long one check may take.
    pub timeout: Span,
    /// So many good checks in a row make a target healthy.
    pub rise: u32,
    /// So many bad checks, or failed requests, in a row make it unhealthy.
    pub fall: u32,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            path: None,
            host: None,
            status: StatusRange(200..=399),
            interval: Span::seconds(5),
            timeout: Span::seconds(3),
            rise: 1,
            fall: 3,
        }
    }
}

/// HTTP statuses from one to another, both included: `200-399`, or `204` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRange(pub RangeInclusive<u16>);

/// What is wrong with a spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Not a target.
    #[error(
        "`{0}` is no target: give an address and a port, and a weight if need be (10.0.0.2:8080, 10.0.0.2:8080*3)"
    )]
    Target(String),
    /// Not a challenge.
    #[error("`{0}` is no challenge that the edge can answer: give http-01 or tls-alpn-01")]
    Challenge(String),
    /// A route that no certificate can be ordered for.
    #[error("no certificate can be ordered for the route {0}: {1}")]
    Acme(RouteKey, &'static str),
    /// Not an owner.
    #[error("`{0}` is no owner of routes: it has 1 to 500 characters on one line")]
    Owner(String),
    /// Not a range of statuses.
    #[error("`{0}` is no range of statuses: give one (204) or two between 100 and 599 (200-399)")]
    Status(String),
    /// No targets.
    #[error("the route {0} has no target: give at least one")]
    NoTarget(RouteKey),
    /// A target twice.
    #[error("the route {0} names the target {1} twice: give it a weight instead")]
    TwiceTarget(RouteKey, SocketAddr),
    /// Something that only HTTP has.
    #[error("the route {0} is TCP, which has no {1}")]
    NotInTcp(RouteKey, &'static str),
    /// A path for the health check that is none.
    #[error("the health path of the route {route} does not fit")]
    HealthPath {
        /// The route.
        route: RouteKey,
        /// What is wrong with it.
        source: crate::route::RouteError,
    },
    /// A number out of its range.
    #[error("the route {0}: {1}")]
    Number(RouteKey, &'static str),
    /// A host name for the health check that is none.
    #[error("the health host `{1}` of the route {0} is no host name")]
    HealthHost(RouteKey, String),
}

impl RouteSpec {
    /// A route with everything else left as it comes.
    pub fn new(route: RouteKey, targets: Vec<TargetSpec>) -> Self {
        Self {
            route,
            protocol: Protocol::Http,
            targets,
            health: HealthSpec::default(),
            affinity: false,
            target_http2: false,
            send_proxy: None,
            max_body: None,
            response_timeout: default_response_timeout(),
            tls: None,
            redirect_https: None,
            hsts: None,
            unavailable_page: None,
            owner: None,
        }
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// The first part that does not.
    pub fn check(&self) -> Result<(), SpecError> {
        self.check_targets()?;
        self.check_health()?;
        if self.protocol == Protocol::Tcp {
            self.check_tcp()?;
        }
        self.check_acme()?;
        if self.response_timeout.get().is_zero() {
            return Err(self.number("the response timeout must be longer than nothing"));
        }
        if self
            .unavailable_page
            .as_ref()
            .is_some_and(|page| page.len() > 1 << 20)
        {
            return Err(self.number("the page is larger than 1 MiB"));
        }
        Ok(())
    }

    fn check_targets(&self) -> Result<(), SpecError> {
        if self.targets.is_empty() && self.redirect_https.is_none() {
            return Err(SpecError::NoTarget(self.route.clone()));
        }
        if self.targets.len() > 1000 {
            return Err(self.number("more than 1000 targets"));
        }
        let mut seen = std::collections::HashSet::new();
        for target in &self.targets {
            if !seen.insert(target.address) {
                return Err(SpecError::TwiceTarget(self.route.clone(), target.address));
            }
        }
        Ok(())
    }

    fn check_health(&self) -> Result<(), SpecError> {
        let health = &self.health;
        if health.interval.get().is_zero() || health.timeout.get().is_zero() {
            return Err(self.number("the health interval and timeout must be longer than nothing"));
        }
        if !(1..=100).contains(&health.rise) || !(1..=100).contains(&health.fall) {
            return Err(self.number("rise and fall of the health check must be 1 to 100"));
        }
        if let Some(path) = &health.path {
            let plain = path.split('?').next().unwrap_or_default();
            let fits = plain.parse::<PathPrefix>();
            fits.map_err(|source| SpecError::HealthPath {
                route: self.route.clone(),
                source,
            })?;
            if path.parse::<http::uri::PathAndQuery>().is_err() {
                return Err(
                    self.number("the health path has a character that does not belong there")
                );
            }
        }
        match &health.host {
            Some(host) if host.is_empty() || http::HeaderValue::from_str(host).is_err() => {
                Err(SpecError::HealthHost(self.route.clone(), host.clone()))
            }
            _ => Ok(()),
        }
    }

    fn check_acme(&self) -> Result<(), SpecError> {
        if !matches!(self.tls, Some(TlsSpec::Acme(_))) {
            return Ok(());
        }
        let reason = match &self.route.host {
            HostPattern::Exact(name) if name.parse::<IpAddr>().is_err() => return Ok(()),
            HostPattern::Exact(_) => "an address has no name: give a host name",
            HostPattern::Any => "it is for every name: give it a host name",
            HostPattern::Below(_) => {
                "CAs give wildcards only to who shows it in the DNS (DNS-01), which the edge cannot: \
                 give each name a route, or a wildcard certificate in files"
            }
        };
        Err(SpecError::Acme(self.route.clone(), reason))
    }

    fn check_tcp(&self) -> Result<(), SpecError> {
        let only_http = [
            (!self.route.host.is_any(), "host name"),
            (!self.route.path.is_root(), "path"),
            (self.affinity, "cookie"),
            (self.target_http2, "HTTP/2"),
            (self.max_body.is_some(), "request body"),
            (self.unavailable_page.is_some(), "page"),
            (
                self.tls.is_some(),
                "certificate (TLS ends at HTTP routes only)",
            ),
            (self.redirect_https.is_some(), "redirect"),
            (self.hsts.is_some(), "HSTS"),
        ];
        match only_http.into_iter().find(|(given, _)| *given) {
            Some((_, what)) => Err(SpecError::NotInTcp(self.route.clone(), what)),
            None => Ok(()),
        }
    }

    fn number(&self, what: &'static str) -> SpecError {
        SpecError::Number(self.route.clone(), what)
    }
}

impl FromStr for TargetSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let bad = || SpecError::Target(text.to_owned());
        let (address, weight) = match text.split_once('*') {
            Some((address, weight)) => (address, weight.parse().map_err(|_| bad())?),
            None => (text, 1),
        };
        let address: SocketAddr = address.parse().map_err(|_| bad())?;
        if address.port() == 0 || address.ip().is_unspecified() || !(1..=1000).contains(&weight) {
            return Err(bad());
        }
        Ok(Self { address, weight })
    }
}

impl fmt::Display for TargetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match self.weight {
            1 => Ok(()),
            weight => write!(f, "*{weight}"),
        }
    }
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

impl FromStr for StatusRange {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let bad = || SpecError::Status(text.to_owned());
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
        let range = number(from)?..=number(to)?;
        if range.is_empty() || *range.start() < 100 || *range.end() > 599 {
            return Err(bad());
        }
        Ok(Self(range))
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.start(), self.0.end()) {
            (from, to) if from == to => write!(f, "{from}"),
            (from, to) => write!(f, "{from}-{to}"),
        }
    }
}

impl FromStr for Owner {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let fits = (1..=500).contains(&text.len()) && !text.chars().any(char::is_control);
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(SpecError::Owner(text.chars().take(100).collect())),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(TargetSpec, StatusRange, Challenge, Owner);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let cases = [
            ("10.0.0.2:80", Some("10.0.0.2:80")),
            ("10.0.0.2:80*3", Some("10.0.0.2:80*3")),
            ("[::1]:80*1", Some("[::1]:80")),
            ("10.0.0.2", None),
            ("10.0.0.2:0", None),
            ("0.0.0.0:80", None),
            ("10.0.0.2:80*0", None),
            ("10.0.0.2:80*1001", None),
            ("web:80", None),
        ];
        for (text, shown) in cases {
            let parsed = text.parse::<TargetSpec>().ok().map(|t| t.to_string());
            assert_eq!(parsed.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn status_ranges() {
        for (text, good) in [
            ("200", true),
            ("200-399", true),
            ("399-200", false),
            ("99", false),
            ("200-600", false),
            ("x", false),
        ] {
            assert_eq!(text.parse::<StatusRange>().is_ok(), good, "{text}");
        }
    }

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

    #[test]
    fn a_spec_survives_json_and_is_checked() {
        let json = r#"{"route":{"listen":"8080","host":"*.example.org","path":"/api"},"targets":["127.0.0.1:1*2"],
            "health":{"path":"/ping?deep=1","status":"200-299","interval":"500ms"}}"#;
        let spec: RouteSpec = serde_json::from_str(json).unwrap();
        spec.check().unwrap();
        assert_eq!(spec.route.to_string(), "8080 *.example.org /api");
        let again: RouteSpec =
            serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);

        let mut tcp = spec.clone();
        tcp.protocol = Protocol::Tcp;
        assert!(
            tcp.check()
                .unwrap_err()
                .to_string()
                .contains("no host name")
        );
        let mut none = spec.clone();
        none.targets.clear();
        assert!(none.check().is_err());
        let mut twice = spec;
        twice.targets.push(twice.targets[0]);
        assert!(twice.check().is_err());
    }
}
