//! `config.json` of the Docker client.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker::image::Credentials;
use model::Secret;
use serde::Deserialize;

use super::{KeyringError, host_of};

/// No such file is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// What matters of the file.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Config {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
    #[serde(skip)]
    pub(super) path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
}

impl Config {
    /// Reads the file; one that is not there says nothing.
    pub(super) fn read(path: &Path) -> Result<Self, KeyringError> {
        let wrong = |why: String| KeyringError::Config {
            path: path.display().to_string(),
            why,
        };
        let mut text = String::new();
        let read =
            fs_err::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(error.kind().to_string())),
        }
        // serde's own words could repeat a password.
        let config = serde_json::from_str(&text);
        let config: Self = config.map_err(|error| {
            wrong(format!(
                "line {} is not what the Docker client writes",
                error.line()
            ))
        })?;
        Ok(Self {
            path: path.display().to_string(),
            ..config
        })
    }

    /// The helper that knows a registry, and what the registry is called there.
    pub(super) fn helper_for(&self, registry: &str) -> Option<(&str, String)> {
        let own = self.cred_helpers.iter();
        let own = own.filter(|(address, _)| host_of(address) == registry);
        let own = own
            .map(|(address, helper)| (helper.as_str(), address.clone()))
            .next();
        own.or_else(|| Some((self.creds_store.as_deref()?, self.called(registry))))
    }

    /// The registries that it speaks of.
    pub(super) fn registries(&self) -> impl Iterator<Item = String> {
        let addresses = self.auths.keys().chain(self.cred_helpers.keys());
        addresses.map(|address| host_of(address))
    }

    /// As `docker login` called it, which is how the helper knows it.
    fn called(&self, registry: &str) -> String {
        let mut logins = self.auths.keys();
        let login = logins.find(|address| host_of(address) == registry);
        match (login, registry) {
            (Some(address), _) => address.clone(),
            (None, super::HUB) => format!("https://{registry}/v1/"),
            (None, registry) => registry.to_owned(),
        }
    }

    pub(super) fn credentials(&self, registry: &str) -> Result<Option<Credentials>, KeyringError> {
        let mut entries = self.auths.iter();
        let Some((address, entry)) = entries.find(|(address, _)| host_of(address) == registry)
        else {
            return Ok(None);
        };
        entry.credentials().map_err(|why| KeyringError::Config {
            path: self.path.clone(),
            why: format!("`{address}` under `auths` {why}"),
        })
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        if let Some(token) = &self.identitytoken {
            return Ok(Some(Credentials {
                user: Credentials::IDENTITY_TOKEN.to_owned(),
                password: token.clone(),
            }));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Credentials {
                user: user.clone(),
                password: password.clone(),
            }));
        }
        let Some(auth) = &self.auth else {
            return Ok(None);
        };
        let bytes = STANDARD.decode(auth.expose()).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = text
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or("has an `auth` that is no `user:password` in base64")?;
        Ok(Some(Credentials {
            user: user.to_owned(),
            password: Secret::new(password.trim_end_matches('\0')),
        }))
    }
}
