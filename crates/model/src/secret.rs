//! A text that must not be seen by accident.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A password, token or variable's value. `Debug` shows nothing of it and there is no `Display`;
/// whoever wants the text asks for it by name with [`Secret::expose`].
///
/// Serialisation writes the text: wire messages and encrypted rows need it.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A fresh random secret: `prefix` followed by 160 bits in lower-case hexadecimal.
    ///
    /// # Panics
    /// When the operating system has no randomness to give; nothing sensible can go on then.
    pub fn random(prefix: &str) -> Self {
        use std::fmt::Write as _;
        let mut bytes = [0_u8; 20];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let mut text = String::with_capacity(prefix.len() + 40);
        text.push_str(prefix);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text in hexadecimal: what is stored in place of a token.
    pub fn fingerprint(&self) -> String {
        crate::Digest::of(self.0.as_bytes()).hex().to_owned()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn random_secrets_differ_and_carry_their_prefix() {
        let (one, two) = (Secret::random("lot-"), Secret::random("lot-"));
        assert_ne!(one, two);
        assert!(one.expose().starts_with("lot-"));
        assert_eq!(one.expose().len(), 44);
    }

    #[test]
    fn fingerprint_is_sha256() {
        assert_eq!(
            Secret::new("abc").fingerprint(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
