//! What is kept on the disk: for each CA an account, and for each name a key with its certificate.
//!
//! The files are written as a whole or not at all, and only their owner can read them.

use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use instant_acme::AccountCredentials;

use super::error::AcmeError;

/// The files of one CA.
pub(super) struct Store {
    folder: PathBuf,
}

/// A key and the certificates that go with it, in PEM form.
pub(super) struct Pem(pub(super) String);

impl Store {
    /// Each directory has a folder of its own, so that a test with another CA leaves no traces.
    pub(super) fn new(folder: &Path, directory: &str) -> Self {
        let ca = directory.trim_start_matches("https://");
        let ca = ca.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
        let folder = folder.join("acme").join(ca.trim_matches('.'));
        Self { folder }
    }

    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, AcmeError> {
        let path = self.account_file();
        let Some(text) = read(&path).map_err(AcmeError::Store)? else {
            return Ok(None);
        };
        let account = serde_json::from_str(&text);
        account
            .map(Some)
            .map_err(|source| AcmeError::Account { path, source })
    }

    pub(super) fn save_account(&self, account: &AccountCredentials) -> Result<(), AcmeError> {
        let text = serde_json::to_string_pretty(account).map_err(io::Error::other);
        let saved = text.and_then(|text| self.write(&self.account_file(), &text));
        saved.map_err(AcmeError::Store)
    }

    /// The CA does not know the account any more.
    pub(super) fn forget_account(&self) -> Result<(), AcmeError> {
        fs_err::remove_file(self.account_file()).map_err(AcmeError::Store)
    }

    pub(super) fn certificate(&self, name: &str) -> Result<Option<Pem>, AcmeError> {
        let text = read(&self.certificate_file(name)).map_err(AcmeError::Store)?;
        Ok(text.map(Pem))
    }

    pub(super) fn save_certificate(&self, name: &str, pem: &Pem) -> Result<(), AcmeError> {
        let saved = self.write(&self.certificate_file(name), &pem.0);
        saved.map_err(AcmeError::Store)
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    fn certificate_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        // Only the owner: the folder's mode would not help a file that was there before.
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        let beside = path.with_added_extension("new");
        match fs_err::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs_err::rename(&beside, path)?;
        fs_err::File::open(&self.folder)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_certificate_is_kept_for_its_owner_alone_and_apart_for_each_ca() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "https://ca.example.org:14000/dir");
        assert!(store.certificate("www.example.org").unwrap().is_none());
        for text in ["one", "two"] {
            let pem = Pem(text.to_owned());
            store.save_certificate("www.example.org", &pem).unwrap();
            let kept = store.certificate("www.example.org").unwrap();
            assert_eq!(kept.unwrap().0, text);
        }
        let path = folder
            .path()
            .join("acme/ca.example.org_14000_dir/www.example.org.pem");
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Store::new(folder.path(), "https://ca.example.org/dir");
        assert!(other.certificate("www.example.org").unwrap().is_none());
    }

    #[test]
    fn an_account_that_makes_no_sense_is_not_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "https://ca.example.org");
        assert!(store.account().unwrap().is_none());
        store.write(&store.account_file(), "{").unwrap();
        let error = store.account().err().unwrap().to_string();
        assert!(error.contains("account.json"), "{error}");
    }
}
