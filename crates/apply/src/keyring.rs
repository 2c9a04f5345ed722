//! Who comes to which registry: what a job was given, what `docker login` wrote, and what the
//! helpers know that it was told to ask.
//!
//! Passwords stay in this process: they go to engines in a header, never to a file or an argument.

mod config;
mod helper;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;

use docker::ImageRef;
use docker::image::Credentials;
use tokio::sync::Mutex;

use crate::hands::{Asking, Logins, RegistryKeys};
use config::Config;

/// The registry of images without one, as `docker login` calls it.
const HUB: &str = "index.docker.io";
/// The same, as a build's engine looks it up.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// Credentials by registry. Each registry is looked up once.
pub struct Keyring {
    given: BTreeMap<String, Credentials>,
    /// The folder of `config.json`.
    folder: Option<PathBuf>,
    /// Where helpers are looked for.
    search_path: Option<OsString>,
    found: Mutex<BTreeMap<String, Result<Option<Credentials>, KeyringError>>>,
}

/// Why it is not known who comes to a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The Docker client's file cannot be read.
    #[error("{path}: {why}")]
    Config {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// A helper does not answer.
    #[error("`{program}`, which {path} names, does not say who comes to {registry}: {why}")]
    Helper {
        /// The helper.
        program: String,
        /// The file that names it.
        path: String,
        /// The registry.
        registry: String,
        /// Why not.
        why: String,
    },
}

impl Keyring {
    /// What the Docker client's `config.json` in this folder says; nobody, without a folder.
    /// Helpers are looked for in `search_path`.
    pub fn new(folder: Option<PathBuf>, search_path: Option<OsString>) -> Self {
        Self {
            given: BTreeMap::new(),
            folder,
            search_path,
            found: Mutex::default(),
        }
    }

    /// These credentials go before all others for their registry.
    #[must_use]
    pub fn with(mut self, registry: &str, credentials: Credentials) -> Self {
        self.given.insert(host_of(registry), credentials);
        self
    }

    /// Who comes to the registry of an image; nobody when nothing is known about it.
    ///
    /// # Errors
    /// When a file or a helper that would know cannot be asked.
    pub async fn of(&self, image: &ImageRef) -> Result<Option<Credentials>, KeyringError> {
        self.of_registry(registry_of(image)).await
    }

    /// Who comes to each registry that something is known about. A build may pull from any of them.
    pub async fn all(&self) -> Logins {
        let mut registries: BTreeSet<String> = self.given.keys().cloned().collect();
        let mut logins = Logins::default();
        if let Some(folder) = &self.folder {
            match Config::read(&folder.join("config.json")) {
                Ok(config) => registries.extend(config.registries()),
                Err(error) => logins.failed.push(error.to_string()),
            }
        }
        for registry in registries {
            let name = match registry.as_str() {
                HUB => HUB_ADDRESS.to_owned(),
                host => host.to_owned(),
            };
            match self.of_registry(registry).await {
                Ok(Some(who)) => drop(logins.known.insert(name, who)),
                Ok(None) => {}
                Err(error) => logins.failed.push(error.to_string()),
            }
        }
        logins
    }

    async fn of_registry(&self, registry: String) -> Result<Option<Credentials>, KeyringError> {
        if let Some(credentials) = self.given.get(&registry) {
            return Ok(Some(credentials.clone()));
        }
        let mut found = self.found.lock().await;
        if let Some(known) = found.get(&registry) {
            return known.clone();
        }
        let looked_up = self.look_up(&registry).await;
        found.insert(registry, looked_up.clone());
        looked_up
    }

    async fn look_up(&self, registry: &str) -> Result<Option<Credentials>, KeyringError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let config = Config::read(&folder.join("config.json"))?;
        match config.helper_for(registry) {
            Some((helper, address)) => {
                let asked = helper::ask(helper, &address, self.search_path.as_deref()).await;
                asked.map_err(|(program, why)| KeyringError::Helper {
                    program,
                    path: config.path.clone(),
                    registry: registry.to_owned(),
                    why,
                })
            }
            None => config.credentials(registry),
        }
    }
}

impl RegistryKeys for Keyring {
    fn credentials<'a>(&'a self, image: &'a ImageRef) -> Asking<'a> {
        Box::pin(async { self.of(image).await.map_err(|error| error.to_string()) })
    }

    fn all(&self) -> Pin<Box<dyn Future<Output = Logins> + Send + '_>> {
        Box::pin(self.all())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<&String> = self.given.keys().collect();
        write!(f, "Keyring({given:?}, {:?})", self.folder)
    }
}

/// The first part of a name is a registry when it looks like a host.
pub(crate) fn registry_of(image: &ImageRef) -> String {
    match image.repository().split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host_of(host),
        _ => HUB.to_owned(),
    }
}

/// `docker login` writes some registries as addresses.
fn host_of(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match host {
        "docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        host => host.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use model::Secret;
    use tempfile::TempDir;

    use super::*;

    /// A folder with a `config.json`, and a helper `docker-credential-test` that knows one registry.
    fn folder(config: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), config).unwrap();
        let helper = folder.path().join("docker-credential-test");
        let script = r#"#!/bin/sh
read address
case "$1 $address" in
    "get known.example.org") echo '{"ServerURL":"","Username":"helped","Secret":"s3"}' ;;
    "get broken.example.org") echo "the safe is locked" >&2; exit 1 ;;
    *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"#;
        fs_err::write(&helper, script).unwrap();
        fs_err::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    async fn who(keyring: &Keyring, image: &str) -> Result<Option<(String, String)>, String> {
        let found = keyring.of(&image.parse().unwrap()).await;
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.map(|who| (who.user, who.password.expose().to_owned())))
    }

    /// What a configuration says of an image.
    async fn check(config: &str, image: &str) -> Result<Option<(String, String)>, String> {
        let folder = folder(config);
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let keyring = Keyring::new(Some(folder.path().to_owned()), Some(path.into()));
        who(&keyring, image).await
    }

    fn is(user: &str, password: &str) -> Result<Option<(String, String)>, String> {
        Ok(Some((user.to_owned(), password.to_owned())))
    }

    #[tokio::test]
    async fn what_docker_login_wrote() {
        // `deployer:pa:ss` and `hub:x` in base64.
        let config = r#"{"auths": {
            "registry.example.org:5000": {"auth": "ZGVwbG95ZXI6cGE6c3M="},
            "https://index.docker.io/v1/": {"auth": "aHViOng="},
            "https://old.example.org/v2/": {"username": "u", "password": "p"},
            "token.example.org": {"auth": "ZGVwbG95ZXI6", "identitytoken": "it"},
            "empty.example.org": {}
        }}"#;
        let web = "registry.example.org:5000/shop/web:1";
        assert_eq!(check(config, web).await, is("deployer", "pa:ss"));
        assert_eq!(check(config, "nginx:1").await, is("hub", "x"));
        assert_eq!(check(config, "library/nginx").await, is("hub", "x"));
        assert_eq!(check(config, "old.example.org/a").await, is("u", "p"));
        assert_eq!(
            check(config, "token.example.org/a").await,
            is("<token>", "it")
        );
        assert_eq!(check(config, "empty.example.org/a").await, Ok(None));
        assert_eq!(check(config, "other.example.org/a").await, Ok(None));
        assert_eq!(check(config, "registry.example.org/a").await, Ok(None));
        assert_eq!(check("{}", "nginx").await, Ok(None));
    }

    #[tokio::test]
    async fn what_helpers_know() {
        let helpers = r#"{"credHelpers": {"known.example.org": "test", "broken.example.org": "test",
            "gone.example.org": "no-such", "odd.example.org": "../../bin/sh"},
            "auths": {"plain.example.org": {"auth": "ZGVwbG95ZXI6cGE6c3M="}}}"#;
        assert_eq!(
            check(helpers, "known.example.org/a").await,
            is("helped", "s3")
        );
        assert_eq!(
            check(helpers, "plain.example.org/a").await,
            is("deployer", "pa:ss")
        );
        for (registry, says) in [
            ("broken.example.org", "the safe is locked"),
            ("gone.example.org", "docker-credential-no-such"),
            ("odd.example.org", "is no name of a helper"),
        ] {
            let error = check(helpers, &format!("{registry}/a")).await.unwrap_err();
            assert!(
                error.contains(says) && error.contains("config.json"),
                "{error}"
            );
        }
        let store = r#"{"credsStore": "test", "auths": {"known.example.org": {}}}"#;
        assert_eq!(
            check(store, "known.example.org/a").await,
            is("helped", "s3")
        );
        assert_eq!(check(store, "unknown.example.org/a").await, Ok(None));
    }

    #[tokio::test]
    async fn all_that_is_known() {
        let config = r#"{"credHelpers": {"known.example.org": "test", "broken.example.org": "test"},
            "auths": {"https://index.docker.io/v1/": {"auth": "aHViOng="}, "empty.example.org": {}}}"#;
        let folder = folder(config);
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let keyring = Keyring::new(Some(folder.path().to_owned()), Some(path.into()));
        let given = Credentials {
            user: "job".to_owned(),
            password: Secret::new("s"),
        };
        let logins = keyring.with("job.example.org:5000", given).all().await;
        let known: Vec<_> = logins
            .known
            .iter()
            .map(|(registry, who)| (registry.as_str(), who.user.as_str()))
            .collect();
        let expected = [
            ("https://index.docker.io/v1/", "hub"),
            ("job.example.org:5000", "job"),
            ("known.example.org", "helped"),
        ];
        assert_eq!(known, expected);
        let [failed] = logins.failed.as_slice() else {
            panic!("{logins:?}");
        };
        assert!(failed.contains("the safe is locked"), "{failed}");
    }

    #[tokio::test]
    async fn what_was_given_goes_first_and_is_not_told() {
        let folder = folder("{ not json");
        let given = Credentials {
            user: "job".to_owned(),
            password: Secret::new("hunter2"),
        };
        let keyring = Keyring::new(Some(folder.path().to_owned()), None);
        let keyring = keyring.with("https://registry.example.org", given);
        assert_eq!(
            who(&keyring, "registry.example.org/a").await,
            is("job", "hunter2")
        );
        assert!(!format!("{keyring:?}").contains("hunter2"));
        let error = who(&keyring, "nginx").await.unwrap_err();
        assert!(error.contains("config.json"), "{error}");
        assert_eq!(who(&Keyring::new(None, None), "nginx").await, Ok(None));
    }
}
