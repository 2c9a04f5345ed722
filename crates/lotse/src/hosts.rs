//! What this process's environment says about the way to hosts and registries: keys, pinned host
//! keys, certificates and logins.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apply::keyring::Keyring;
use apply::reach::{Means, Reach, Way};
use deploy::{HostName, TextError};
use docker::TlsFiles;
use docker::image::Credentials;
use model::Secret;
use ssh::{Access, Hidden, KeySource, TrustSource};

/// A private key, or the file with it.
const KEY: &str = "LOTSE_SSH_KEY";
const PASSPHRASE: &str = "LOTSE_SSH_KEY_PASSPHRASE";
/// Pinned host keys, or the file with them.
const PINNED: [&str; 2] = ["SSH_KNOWN_HOSTS", "SSH_SERVER_HOSTKEYS"];
/// In place of the user's `~/.ssh/config`; `none` for no configuration at all.
const CONFIG: &str = "LOTSE_SSH_CONFIG";

/// The ways to hosts that the environment opens; `certificates` goes before `DOCKER_CERT_PATH`.
pub(crate) fn reach(certificates: Option<&Path>) -> Reach {
    let folder = certificates.map(Path::to_owned);
    let folder = folder.or_else(|| text("DOCKER_CERT_PATH").map(PathBuf::from));
    Reach::new(Means {
        tls: folder.map(|folder| TlsFiles::in_folder(&folder)),
        ssh: ssh_access(),
    })
}

/// A host of the command line: an address that is none is a mistake of the command line.
pub(crate) fn address(text: &str) -> Result<HostName, String> {
    let host: HostName = text.parse().map_err(|error: TextError| error.to_string())?;
    match Way::to(&host) {
        Ok(_) => Ok(host),
        Err(error) => Err(error.to_string()),
    }
}

/// Who comes to registries: as a GitLab job says it, else as `docker login` has left it.
pub(crate) fn keyring() -> Arc<Keyring> {
    let folder = text("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(env::home_dir()?.join(".docker")));
    let keyring = Keyring::new(folder, env::var_os("PATH"));
    let job = ["CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"].map(text);
    Arc::new(match job {
        [Some(registry), Some(user), Some(password)] => {
            let password = Secret::new(password);
            keyring.with(&registry, Credentials { user, password })
        }
        _ => keyring,
    })
}

fn ssh_access() -> Access {
    let mut access = Access::of_user(user(), env::home_dir().unwrap_or_default());
    access.agent = text("SSH_AUTH_SOCK").map(PathBuf::from);
    access.passphrase = text(PASSPHRASE).map(Hidden::new);
    access.keys.extend(text(KEY).map(key));
    let pinned = PINNED
        .iter()
        .filter_map(|name| Some(trust(name, text(name)?)));
    access.trust.splice(0..0, pinned);
    match text(CONFIG).as_deref() {
        None => {}
        Some("none") => access.configs.clear(),
        // As with `ssh -F`, the system's own is not read then.
        Some(path) => access.configs = vec![path.into()],
    }
    access
}

/// A job's variable of type file has the path of a file in it.
fn key(value: String) -> KeySource {
    match value.contains("-----BEGIN") {
        true => KeySource::Text {
            name: KEY.to_owned(),
            text: Hidden::new(value),
        },
        false => KeySource::File(value.trim().into()),
    }
}

/// Lines of known_hosts have spaces between a host and its key.
fn trust(name: &str, value: String) -> TrustSource {
    let value = value.trim().to_owned();
    match value.starts_with('/') && !value.contains(char::is_whitespace) {
        true => TrustSource::File(value.into()),
        false => TrustSource::Text {
            name: name.to_owned(),
            text: value,
        },
    }
}

/// A job's environment may have no `USER`.
fn user() -> String {
    let named = text("USER").or_else(|| text("LOGNAME"));
    named
        .or_else(user_by_id)
        .unwrap_or_else(|| "root".to_owned())
}

fn user_by_id() -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let users = fs_err::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

/// The value of a variable; an empty one says nothing.
fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_hold_texts_or_paths() {
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n";
        assert!(matches!(key(text.to_owned()), KeySource::Text { .. }));
        assert!(
            matches!(key("/builds/key\n".to_owned()), KeySource::File(path)
            if path == Path::new("/builds/key"))
        );
        let line = "web ssh-ed25519 AAAA\n";
        assert!(matches!(
            trust("A", line.to_owned()),
            TrustSource::Text { .. }
        ));
        assert!(matches!(
            trust("A", "/builds/pinned".to_owned()),
            TrustSource::File(_)
        ));
    }
}
