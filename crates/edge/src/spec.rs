//! What a user asks of a route: its targets, how their health is told, what is special about it.
//!
//! The same types go over the control socket and into the state file. Nothing here is alive; what
//! a spec is turned into is [`crate::target::pool`].

mod error;
mod health;
mod owner;
mod target;
mod tls;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::route::{HostPattern, PathPrefix, RouteKey};
use crate::span::Span;

pub use error::SpecError;
pub use health::{HealthSpec, StatusRange};
pub use owner::Owner;
pub use target::TargetSpec;
pub use tls::{AcmeSpec, CertificateFiles, Challenge, TlsSpec};

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

fn default_response_timeout() -> Span {
    Span::seconds(300)
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

#[cfg(test)]
mod tests {
    use super::*;

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
