//! What a host's name says about the way there.

use std::str::FromStr;

use deploy::HostName;
use docker::EngineAddress;
use ssh::SshAddress;

use super::ReachError;

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Its engine itself: `unix://` or `tcp://`.
    Engine(EngineAddress),
    /// Over SSH: `ssh://`.
    Ssh(SshAddress),
}

impl Way {
    /// The way to a host.
    ///
    /// # Errors
    /// When its name is no address.
    pub fn to(host: &HostName) -> Result<Self, ReachError> {
        let wrong = |why: String| ReachError::Address {
            host: host.clone(),
            why,
        };
        let text = host.as_str();
        match text.split_once("://") {
            Some(("ssh", _)) => {
                let address = SshAddress::from_str(text);
                Ok(Self::Ssh(
                    address.map_err(|error| wrong(error.to_string()))?,
                ))
            }
            Some(("unix" | "tcp", _)) => {
                let address = EngineAddress::from_str(text);
                Ok(Self::Engine(
                    address.map_err(|error| wrong(error.to_string()))?,
                ))
            }
            _ => Err(wrong(format!("`{text}` begins with no way that is known"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways() {
        let way = |text: &str| Way::to(&text.parse().unwrap());
        assert!(matches!(way("unix:///run/docker.sock"), Ok(Way::Engine(_))));
        assert!(matches!(way("tcp://web:2376"), Ok(Way::Engine(_))));
        assert!(matches!(way("ssh://deploy@web"), Ok(Way::Ssh(_))));
        for bad in ["web", "http://web", "unix://x", "ssh://", "ssh://a:b@web"] {
            let error = way(bad).unwrap_err();
            assert!(error.hint().unwrap().contains("ssh://"), "{error}");
        }
        let error = way("ssh://deploy:hunter2@web").unwrap_err();
        assert!(!format!("{error}").contains("hunter2"), "{error}");
    }
}
