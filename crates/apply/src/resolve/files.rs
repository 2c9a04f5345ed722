//! Files that configs and secrets name. They become part of the release, so they are bounded.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use compose::Project;
use compose::project::{File, FileSource};
use deploy::release::Content;

/// A release is kept on each host with all its files. In bytes.
const LARGEST: u64 = 1 << 20;

/// The contents of all of them by path, or why there is none.
pub fn read(project: &Project) -> BTreeMap<String, Result<Content, String>> {
    let files = project.configs.values().chain(project.secrets.values());
    let paths = files.filter_map(|file: &File| match &file.source {
        FileSource::Path(path) => Some(path),
        FileSource::Content(_) => None,
    });
    paths.map(|path| (path.clone(), content(path))).collect()
}

/// The content of one, or why there is none.
pub(crate) fn content(path: &str) -> Result<Content, String> {
    let too_large = || "it is larger than 1 MiB: mount it from a folder of the host".to_owned();
    Ok(Content(bounded(path, LARGEST)?.ok_or_else(too_large)?))
}

/// The bytes of a file, nothing when it has more than so many, or why it cannot be read.
pub(crate) fn bounded(path: impl AsRef<Path>, largest: u64) -> Result<Option<Vec<u8>>, String> {
    let told = |error: std::io::Error| error.kind().to_string();
    // Others could make us wait for ever.
    let kind = fs_err::metadata(path.as_ref()).map_err(told)?;
    if !kind.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path.as_ref()).map_err(told)?;
    file.take(largest + 1)
        .read_to_end(&mut bytes)
        .map_err(told)?;
    Ok((bytes.len() as u64 <= largest).then_some(bytes))
}
