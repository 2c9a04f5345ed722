//! Proving who the user is: by the keys that were named, those of the configuration, the agent's,
//! and the user's usual files, in this order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::access::Access;
use crate::config::HostConfig;
use crate::error::SshError;
use crate::key;
use crate::session::Guard;

/// An agent may ask its user for each key.
const AGENT: Duration = Duration::from_secs(60);

type Agent = AgentClient<UnixStream>;

/// A login that is under way.
pub(crate) struct Login<'a> {
    pub(crate) handle: &'a mut Handle<Guard>,
    pub(crate) host: String,
    pub(crate) user: &'a str,
    pub(crate) access: &'a Access,
    pub(crate) config: &'a HostConfig,
    pub(crate) tried: Vec<String>,
}

/// What came of one key.
enum Came {
    In,
    Refused,
    /// The host hears no further keys.
    Out,
}

impl Login<'_> {
    pub(crate) async fn run(mut self) -> Result<(), SshError> {
        if self.with_named_keys().await?
            || self.with_files(&self.config.key_files.clone()).await?
            || self.with_agent().await?
        {
            return Ok(());
        }
        if self.config.key_files.is_empty() && self.with_files(&self.access.default_keys).await? {
            return Ok(());
        }
        Err(self.refused())
    }

    async fn with_named_keys(&mut self) -> Result<bool, SshError> {
        for source in &self.access.keys {
            let (reading, phrase) = (source.clone(), self.access.passphrase.clone());
            // A passphrase takes a second of computing.
            let key = blocking(move || key::of_source(&reading, phrase.as_ref())).await?;
            if self.offer(&source.name(), &key).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn with_files(&mut self, files: &[impl AsRef<Path>]) -> Result<bool, SshError> {
        for file in files {
            let file = file.as_ref();
            let (path, phrase) = (file.to_owned(), self.access.passphrase.clone());
            match blocking(move || key::of_file(&path, phrase.as_ref())).await {
                None => {}
                // The agent has the private half of such a file.
                Some(Err(key::Unusable::NoKey)) if key::public_half(file).is_some() => {}
                Some(Err(why)) => {
                    self.tried
                        .push(format!("{} ({})", file.display(), why.why()));
                }
                Some(Ok(key)) if self.offer(&file.display().to_string(), &key).await? => {
                    return Ok(true);
                }
                Some(Ok(_refused)) => {}
            }
        }
        Ok(false)
    }

    async fn with_agent(&mut self) -> Result<bool, SshError> {
        let configured = self.config.agent.clone();
        let Some(socket) = configured.unwrap_or_else(|| self.access.agent.clone()) else {
            return Ok(false);
        };
        let asking = async {
            let mut agent = Agent::connect_uds(&socket).await.ok()?;
            let identities = agent.request_identities().await.ok()?;
            Some((agent, identities))
        };
        let Ok(Some((mut agent, identities))) = timeout(AGENT, asking).await else {
            self.tried
                .push(format!("the agent at {} (no answer)", socket.display()));
            return Ok(false);
        };
        let allowed = self.allowed_of_agent();
        for identity in identities {
            let AgentIdentity::PublicKey { key, .. } = identity else {
                continue;
            };
            if allowed
                .as_ref()
                .is_none_or(|keys| keys.contains(key.key_data()))
                && self.offer_of_agent(&mut agent, key).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// With `IdentitiesOnly`, the agent's keys that the configuration's files name.
    fn allowed_of_agent(&self) -> Option<Vec<KeyData>> {
        let files = &self.config.key_files;
        let halves = || files.iter().filter_map(|file| key::public_half(file));
        self.config.only_these_keys.then(|| halves().collect())
    }

    async fn offer(&mut self, name: &str, key: &PrivateKey) -> Result<bool, SshError> {
        let shown = shown(name, key.public_key());
        let hash = self.hash_for(&key.algorithm()).await;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), hash);
        let outcome = self.handle.authenticate_publickey(self.user, key).await;
        self.judge(shown, came(outcome))
    }

    async fn offer_of_agent(
        &mut self,
        agent: &mut Agent,
        key: PublicKey,
    ) -> Result<bool, SshError> {
        let shown = shown("the agent", &key);
        let hash = self.hash_for(&key.algorithm()).await;
        let offering = self
            .handle
            .authenticate_publickey_with(self.user, key, hash, agent);
        let outcome = match timeout(AGENT, offering).await {
            Ok(outcome) => came(outcome),
            Err(_) => Came::Out,
        };
        self.judge(shown, outcome)
    }

    fn judge(&mut self, shown: String, came: Came) -> Result<bool, SshError> {
        self.tried.push(shown);
        match came {
            Came::In => Ok(true),
            Came::Refused => Ok(false),
            Came::Out => Err(self.refused()),
        }
    }

    /// RSA keys sign with the best hash that the host knows; where it does not say, with SHA-512,
    /// which all but very old ones know.
    async fn hash_for(&self, algorithm: &Algorithm) -> Option<HashAlg> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return None;
        }
        let said = self.handle.best_supported_rsa_hash().await;
        said.ok().flatten().unwrap_or(Some(HashAlg::Sha512))
    }

    fn refused(&mut self) -> SshError {
        SshError::Refused {
            host: self.host.clone(),
            user: self.user.to_owned(),
            tried: std::mem::take(&mut self.tried),
        }
    }
}

fn came<E>(outcome: Result<AuthResult, E>) -> Came {
    match outcome {
        Ok(AuthResult::Success) => Came::In,
        Ok(AuthResult::Failure { .. }) => Came::Refused,
        Err(_) => Came::Out,
    }
}

fn shown(name: &str, key: &PublicKey) -> String {
    format!("{name} ({})", key.fingerprint(HashAlg::Sha256))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
