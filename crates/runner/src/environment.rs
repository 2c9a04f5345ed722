//! The little of the runner's own environment that every job gets, and the shell it runs in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::RunnerConfig;

/// What a program needs to find its way on this machine. Everything else that the runner was
/// started with stays with the runner.
const NAMES: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "DOCKER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CONFIG",
];
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment that jobs begin with; the configuration's entries count most.
pub(crate) fn base(
    config: &RunnerConfig,
    own: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let known = |name: &str| NAMES.contains(&name) || name.starts_with("LC_");
    let mut base = BTreeMap::from([
        ("PATH".to_owned(), USUAL_PATH.to_owned()),
        ("HOME".to_owned(), config.directory.display().to_string()),
    ]);
    base.extend(own.filter(|(name, _)| known(name)));
    base.extend(config.environment.clone());
    base
}

/// The shell that was asked for; else bash if there is one, else sh.
pub(crate) fn shell(wanted: Option<&str>, path: &str) -> Option<PathBuf> {
    let find = |name: &str| {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|file| file.is_file());
        }
        let mut folders = path.split(':').chain(["/bin"]);
        folders.find_map(|folder| Some(Path::new(folder).join(name)).filter(|file| file.is_file()))
    };
    match wanted {
        Some(name) => find(name),
        None => find("bash").or_else(|| find("sh")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_else_sh_else_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        fs_err::write(folder.path().join("zsh"), "").unwrap();
        assert_eq!(shell(Some("zsh"), &path), Some(folder.path().join("zsh")));
        assert_eq!(shell(Some("nosuchshell"), &path), None);
        fs_err::write(folder.path().join("bash"), "").unwrap();
        assert_eq!(shell(None, &path), Some(folder.path().join("bash")));
    }
}
