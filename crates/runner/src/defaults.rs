//! Where things are when nobody says otherwise: the machine's folders for root, the user's own
//! (XDG Base Directory Specification) for anyone else.

use std::path::PathBuf;

/// The configuration file. `None` when there is no HOME to put it in.
pub fn default_config() -> Option<PathBuf> {
    let folder = if is_root() {
        PathBuf::from("/etc")
    } else {
        user_folder("XDG_CONFIG_HOME", ".config")?
    };
    Some(folder.join("lotse/runner.toml"))
}

/// Where runners check out sources. `None` when there is no HOME to do it in.
pub fn default_directory() -> Option<PathBuf> {
    let folder = if is_root() {
        PathBuf::from("/var/lib")
    } else {
        user_folder("XDG_DATA_HOME", ".local/share")?
    };
    Some(folder.join("lotse/runner"))
}

/// What this machine calls itself.
pub fn machine_name() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

fn user_folder(variable: &str, usual: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable).map(PathBuf::from);
    let at_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(usual));
    given.filter(|folder| folder.is_absolute()).or_else(at_home)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
