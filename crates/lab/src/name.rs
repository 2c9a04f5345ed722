//! Names that a user gives: of labs, hosts, aliases and registries, parsed once.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that is not one: says which rule it breaks.
#[derive(Debug, thiserror::Error)]
#[error("{kind} `{text}` {rule}")]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl InvalidName {
    pub(crate) fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        let text = text.chars().take(100).collect();
        Self { kind, text, rule }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $is_valid:path, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $is_valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName::new($kind, text, $rule))
                }
            }
        }

        model::text_conversions!($type, InvalidName);
    };
}

name!(
    /// A lab's name; one lab of a name exists on a machine.
    LabName, "the lab's name", is_short_label, "must be 1 to 32 of a-z, 0-9 and - , not starting or ending with -"
);
name!(
    /// A host's name, which is also its host name on the network.
    HostName, "the host's name", is_host_name, "must be 1 to 32 of a-z, 0-9 and - , not starting or ending with -, and not `gateway`"
);
name!(
    /// The name of a process that stays in a host.
    ServiceName, "the process's name", is_service_name, "must be 1 to 32 of a-z, 0-9 and - , and neither `sshd` nor `engine`"
);
name!(
    /// A name that hosts and containers of a lab resolve.
    DomainName, "the name", is_domain, "must be labels of a-z, 0-9 and - with dots between them, at most 253 characters"
);
name!(
    /// A registry as images name it: `name` or `name:port`.
    RegistryName, "the registry", is_registry, "must be a host name with an optional :port"
);

fn is_label(text: &str, most: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=most).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_short_label(text: &str) -> bool {
    is_label(text, 32)
}

fn is_host_name(text: &str) -> bool {
    is_label(text, 32) && text != "gateway" && text != "localhost"
}

fn is_service_name(text: &str) -> bool {
    is_short_label(text) && text != "sshd" && text != "engine"
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(label, 63))
}

fn is_registry(text: &str) -> bool {
    match text.split_once(':') {
        Some((host, port)) => is_domain(host) && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => is_domain(text),
    }
}

/// Where an alias points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasTarget {
    /// This machine, on the lab's bridge.
    Gateway,
    /// A fixed address.
    Address(Ipv4Addr),
    /// A host of the lab.
    Host(HostName),
}

impl fmt::Display for AliasTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::Address(address) => address.fmt(f),
            Self::Host(host) => host.fmt(f),
        }
    }
}

/// One more name in a lab: `NAME=ADDRESS`, where the address may be `gateway` or a host's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The name that hosts and containers resolve.
    pub name: DomainName,
    /// What it means.
    pub target: AliasTarget,
}

impl FromStr for Alias {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule =
            "must read NAME=ADDRESS, where ADDRESS is an IPv4 address, `gateway` or a host's name";
        let (name, target) = text
            .split_once('=')
            .ok_or_else(|| InvalidName::new("the alias", text, rule))?;
        let target = match target.parse::<Ipv4Addr>() {
            Ok(address) => AliasTarget::Address(address),
            Err(_) if target == "gateway" => AliasTarget::Gateway,
            Err(_) => AliasTarget::Host(target.parse()?),
        };
        Ok(Self {
            name: name.parse()?,
            target,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_once() {
        let good = ["demo", "a", "invenio01-prod", "9"];
        let bad = [
            "",
            "-a",
            "a-",
            "A",
            "a b",
            "a/b",
            "ä",
            "a.b",
            &"x".repeat(33),
        ];
        for text in good {
            assert!(text.parse::<LabName>().is_ok(), "{text}");
            assert!(text.parse::<HostName>().is_ok(), "{text}");
        }
        for text in bad {
            assert!(text.parse::<LabName>().is_err(), "{text}");
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
        assert!("gateway".parse::<HostName>().is_err());
    }

    #[test]
    fn registries_have_an_optional_port() {
        for (text, valid) in [
            ("registry.gitlab.tugraz.at", true),
            ("lotse.lab:5000", true),
            ("lotse.lab:0", false),
            ("lotse.lab:70000", false),
            ("http://lotse.lab", false),
            ("a..b", false),
        ] {
            assert_eq!(text.parse::<RegistryName>().is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn an_alias_points_to_an_address_the_gateway_or_a_host() {
        let target = |text: &str| text.parse::<Alias>().map(|alias| alias.target).ok();
        assert_eq!(target("a.b=gateway"), Some(AliasTarget::Gateway));
        assert_eq!(
            target("a.b=10.0.0.1"),
            Some(AliasTarget::Address(Ipv4Addr::new(10, 0, 0, 1)))
        );
        assert_eq!(
            target("a.b=build"),
            Some(AliasTarget::Host("build".parse().unwrap()))
        );
        for wrong in ["a.b", "=gateway", "a.b=", "a b=gateway", "a.b=x.y"] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }
}
