//! What a load is asked for, and where its files come from.

use std::collections::BTreeMap;

/// What is to be loaded, as the options of `docker compose` say it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The absolute folder that the command is given in.
    pub directory: String,
    /// Compose files in order (`-f`), absolute or relative to `directory`. Empty: `COMPOSE_FILE`,
    /// else the usual names in `directory` and the folders above it.
    pub files: Vec<String>,
    /// What relative paths in the files start from (`--project-directory`); else the folder of the
    /// first file.
    pub project_directory: Option<String>,
    /// The project's name (`-p`); else `COMPOSE_PROJECT_NAME`, `name:`, or the folder's name.
    pub project_name: Option<String>,
    /// Profiles that are asked for (`--profile`); empty: `COMPOSE_PROFILES`. `*` is all of them.
    pub profiles: Vec<String>,
    /// Files with variables (`--env-file`); empty: `COMPOSE_ENV_FILES`, else `.env` of the project's
    /// folder, if there is one.
    pub env_files: Vec<String>,
    /// The variables of the process; they go before those of files.
    pub environment: BTreeMap<String, String>,
}

/// Where texts come from. The crate asks for absolute, normalised paths.
pub trait Files {
    /// The text at a path.
    fn read(&self, path: &str) -> Found;
}

/// What there is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file with this text.
    Text(String),
    /// Nothing.
    Absent,
    /// Something that cannot be read, and why.
    Failed(String),
}

/// Files by path.
impl Files for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Found {
        match self.get(path) {
            Some(text) => Found::Text(text.clone()),
            None => Found::Absent,
        }
    }
}
