//! Private keys, read from texts and files, and never told.

use std::path::{Path, PathBuf};

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Error as KeyError, PrivateKey, PublicKey, decode_secret_key};

use crate::access::KeySource;
use crate::config::text_of;
use crate::error::SshError;
use crate::hidden::Hidden;

/// Why a text is no key that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It has a passphrase, and none was given.
    Locked,
    /// The passphrase that was given does not open it.
    WrongPassphrase,
    /// It is no private key.
    NoKey,
    /// It is a private key in a form that is not understood, or damaged.
    Form,
}

impl Unusable {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Locked => "it has a passphrase",
            Self::WrongPassphrase => "the passphrase does not open it",
            Self::NoKey => "it is no private key",
            Self::Form => {
                "its form is not understood; `ssh-keygen -p -f FILE` writes it in OpenSSH's"
            }
        }
    }
}

/// The key of a source that was asked for by name.
pub(crate) fn of_source(
    source: &KeySource,
    passphrase: Option<&Hidden>,
) -> Result<PrivateKey, SshError> {
    let wrong = |why| SshError::Key {
        name: source.name(),
        why,
    };
    let text = match source {
        KeySource::Text { text, .. } => text.clone(),
        KeySource::File(path) => {
            let text = text_of(path).map_err(|_| wrong("the file cannot be read"))?;
            Hidden::new(text)
        }
    };
    of_text(&text, passphrase).map_err(|unusable| wrong(unusable.why()))
}

/// The key of a file; nothing where there is no such file.
pub(crate) fn of_file(
    path: &Path,
    passphrase: Option<&Hidden>,
) -> Option<Result<PrivateKey, Unusable>> {
    let text = Hidden::new(text_of(path).ok()?);
    Some(of_text(&text, passphrase))
}

fn of_text(text: &Hidden, passphrase: Option<&Hidden>) -> Result<PrivateKey, Unusable> {
    // Web forms that keys are pasted into change their line ends.
    let lines: Vec<&str> = text.expose().split(['\r', '\n']).map(str::trim).collect();
    let text = lines.join("\n");
    let phrase = passphrase.map(Hidden::expose);
    decode_secret_key(&text, phrase).map_err(|error| match (error, phrase) {
        (KeyError::KeyIsEncrypted, _) => Unusable::Locked,
        _ if !text.contains("PRIVATE KEY") => Unusable::NoKey,
        (_, Some(_)) if is_locked(&text) => Unusable::WrongPassphrase,
        (_, None) if is_locked(&text) => Unusable::Locked,
        _ => Unusable::Form,
    })
}

/// Whether the key has a passphrase. It tells which of the two is wrong: the key or its passphrase.
fn is_locked(text: &str) -> bool {
    text.contains("ENCRYPTED") || PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted())
}

/// The public half that belongs to a key file, without opening it.
pub(crate) fn public_half(path: &Path) -> Option<KeyData> {
    let beside = PathBuf::from(format!("{}.pub", path.display()));
    [beside.as_path(), path].into_iter().find_map(|path| {
        let text = text_of(path).ok()?;
        let private = || Some(PrivateKey::from_openssh(&text).ok()?.public_key().clone());
        let key = PublicKey::from_openssh(&text).ok().or_else(private)?;
        Some(key.key_data().clone())
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// `ssh-keygen` makes a key of this kind with this passphrase.
    fn made(kind: &str, phrase: &str, more: &[&str]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", phrase])
            .args(more)
            .arg("-f")
            .arg(&file)
            .status();
        assert!(made.unwrap().success());
        let text = fs_err::read_to_string(&file).unwrap();
        (folder, text)
    }

    fn check(text: &str, phrase: Option<&str>) -> Result<(), Unusable> {
        let phrase = phrase.map(Hidden::new);
        of_text(&Hidden::new(text), phrase.as_ref()).map(|_| ())
    }

    #[test]
    fn keys_of_every_kind_are_read() {
        for (kind, more) in [
            ("ed25519", &[][..]),
            ("ecdsa", &["-b", "384"]),
            ("rsa", &["-b", "2048"]),
            ("rsa", &["-b", "2048", "-m", "PEM"]),
        ] {
            let (folder, text) = made(kind, "", more);
            assert_eq!(check(&text, None), Ok(()), "{kind} {more:?}");
            assert_eq!(
                check(&text.replace('\n', "\r\n"), Some("x")),
                Ok(()),
                "{kind} {more:?}"
            );
            let public = public_half(&folder.path().join("key")).unwrap();
            let key = of_text(&Hidden::new(text), None).unwrap();
            assert_eq!(&public, key.public_key().key_data());
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told() {
        let (folder, locked) = made("ed25519", "open sesame", &[]);
        assert_eq!(check(&locked, None), Err(Unusable::Locked));
        assert_eq!(check(&locked, Some("no")), Err(Unusable::WrongPassphrase));
        assert_eq!(check(&locked, Some("open sesame")), Ok(()));
        assert_eq!(check("nonsense", None), Err(Unusable::NoKey));
        assert_eq!(check(&locked[..120], Some("x")), Err(Unusable::Form));
        assert!(public_half(&folder.path().join("key")).is_some());
        assert!(of_file(&folder.path().join("other"), None).is_none());
    }
}
