//! An address that requests go to, and its share.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::SpecError;
use crate::text::text_serde;

/// An address that requests go to: `10.0.0.2:8080`, or `10.0.0.2:8080*3` with weight 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetSpec {
    /// Where the target listens.
    pub address: SocketAddr,
    /// Its share of the requests relative to the others', 1 to 1000.
    pub weight: u32,
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

text_serde!(TargetSpec);

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
}
