//! Keeps variables' values unreadable in the database file and its copies.
//!
//! XChaCha20-Poly1305 with one key for the server, in a file of its own beside the database. A backup
//! of the database alone gives no secret away.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use model::Secret;

use super::StoreError;

const KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 24;

/// Encrypts and decrypts with the server's key.
#[derive(Clone)]
pub(crate) struct Vault {
    cipher: Arc<XChaCha20Poly1305>,
}

impl Vault {
    /// Reads the key from its file, making a new one at the first start (mode 0600).
    pub(crate) fn open(file: &Path) -> std::io::Result<Self> {
        let key = match fs::read(file) {
            Ok(key) => key,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_key(file)?,
            Err(error) => return Err(error),
        };
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| {
            std::io::Error::other(format!(
                "{}: a key has {KEY_LENGTH} bytes, this file has {}: put the right file back",
                file.display(),
                key.len()
            ))
        })?;
        Ok(Self {
            cipher: Arc::new(cipher),
        })
    }

    /// Nonce and cipher text.
    pub(crate) fn seal(&self, secret: &Secret) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_LENGTH];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), secret.expose().as_bytes())
            .expect("a value in memory is below the cipher's limit of 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The secret that was sealed; `what` names it for the error.
    pub(crate) fn unseal(&self, sealed: &[u8], what: &str) -> Result<Secret, StoreError> {
        let damaged = || StoreError::Damaged {
            what: what.to_owned(),
        };
        let (nonce, text) = sealed
            .split_first_chunk::<NONCE_LENGTH>()
            .ok_or_else(damaged)?;
        let plain = self
            .cipher
            .decrypt(&XNonce::from(*nonce), text)
            .map_err(|_| damaged())?;
        String::from_utf8(plain)
            .map(Secret::from)
            .map_err(|_| damaged())
    }
}

/// Writes a fresh key whole or not at all.
fn make_key(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut key = vec![0_u8; KEY_LENGTH];
    getrandom::fill(&mut key).expect("the operating system gives random bytes");
    let temporary = file.with_extension("new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    out.write_all(&key)?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_and_unseals_with_the_same_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("key")).unwrap();
        let again = Vault::open(&folder.path().join("key")).unwrap();
        let other = Vault::open(&folder.path().join("other")).unwrap();
        let sealed = vault.seal(&Secret::new("geheim"));
        assert!(!sealed.windows(6).any(|w| w == b"geheim"));
        assert_eq!(again.unseal(&sealed, "X").unwrap().expose(), "geheim");
        assert!(other.unseal(&sealed, "X").is_err());
        assert!(vault.unseal(&sealed[..10], "X").is_err());
    }
}
