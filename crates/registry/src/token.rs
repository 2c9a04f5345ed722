//! The tokens that `/jwt/auth` gives out: who the holder is and until when, signed.
//!
//! A token is `base64url(claims).base64url(HMAC-SHA256)`; clients hold it for an opaque text. It is
//! checked without a database. It carries no rights: those are asked at each request.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::Identity;

/// How long a token is good for.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

/// Said before the claims when signing, so that a signature made with the same key elsewhere is no
/// token here.
const DOMAIN: &[u8] = b"lotse registry token 1\0";

/// The key that signs tokens. Several servers behind one name need the same.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

/// Who is asking: a known identity, or someone who gave no credentials.
pub(crate) type Caller = Option<Identity>;

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// Seconds since 1970.
    exp: u64,
}

impl TokenKey {
    /// A key with these bytes, which must come from a source of randomness.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh key. Tokens signed with it end with the process; clients then ask for new ones.
    ///
    /// # Panics
    /// When the operating system has no randomness to give; nothing sensible can go on then.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// A token for this caller, good for [`LIFETIME`] from `now`.
    pub(crate) fn sign(&self, caller: &Caller, now: SystemTime) -> String {
        let claims = Claims {
            sub: caller.as_ref().map(|identity| identity.as_str().to_owned()),
            exp: seconds(now + LIFETIME),
        };
        let claims = serde_json::to_vec(&claims).expect("text and number always serialise");
        let signature = self.mac(&claims).finalize().into_bytes();
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&claims),
            URL_SAFE_NO_PAD.encode(signature)
        )
    }

    /// Who holds this token; `None` when it was not signed by this key or is too old.
    pub(crate) fn verify(&self, token: &str, now: SystemTime) -> Option<Caller> {
        let (claims, signature) = token.split_once('.')?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(&claims).verify_slice(&signature).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        (seconds(now) < claims.exp).then(|| claims.sub.map(Identity::new))
    }

    fn mac(&self, claims: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(DOMAIN);
        mac.update(claims);
        mac
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(2_000_000_000)
    }

    #[test]
    fn says_who_holds_it_until_it_expires() {
        let key = TokenKey::random();
        for caller in [None, Some(Identity::new("user:7"))] {
            let token = key.sign(&caller, now());
            let last = now() + LIFETIME - Duration::from_secs(1);
            assert_eq!(key.verify(&token, last), Some(caller));
            assert_eq!(key.verify(&token, now() + LIFETIME), None);
        }
    }

    #[test]
    fn another_key_or_a_changed_token_is_refused() {
        let key = TokenKey::random();
        let token = key.sign(&Some(Identity::new("user:7")), now());
        assert_eq!(TokenKey::random().verify(&token, now()), None);
        let (claims, signature) = token.split_once('.').unwrap();
        let admin = URL_SAFE_NO_PAD.encode(r#"{"sub":"user:1","exp":99999999999}"#);
        for forged in [
            format!("{admin}.{signature}"),
            format!("{claims}."),
            format!("{claims}.AAAA"),
            format!("{admin}.{admin}"),
            claims.to_owned(),
            String::new(),
            ".".into(),
            "ä.ö".into(),
        ] {
            assert_eq!(key.verify(&forged, now()), None, "{forged}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", TokenKey::new([7; 32])), "TokenKey(…)");
    }
}
