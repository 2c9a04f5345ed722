//! Files that are there after a power failure once the caller was told so: content synced before
//! the rename, the folder synced after it.

use std::io::{self, Write as _};
use std::path::Path;

use fs_err as fs;

/// Writes `content` to `path` by way of a temporary file in `tmp`, which must be on the same disk.
pub(super) fn write(tmp: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = parent(path)?;
    create_dirs(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(tmp)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_dir(folder)
}

/// Makes an empty file, or leaves the one that is there.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    let folder = parent(path)?;
    create_dirs(folder)?;
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    sync_dir(folder)
}

/// Moves a synced file to its name.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let folder = parent(to)?;
    create_dirs(folder)?;
    fs::rename(from, to)?;
    sync_dir(folder)
}

/// Removes a file; `false` when there is none.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    let removed = super::if_there(fs::remove_file(path))?.is_some();
    if removed {
        sync_dir(parent(path)?)?;
    }
    Ok(removed)
}

/// Makes a folder and those around it.
pub(super) fn create_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let around = path.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(around) = around {
        create_dirs(around)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => around.map_or(Ok(()), sync_dir),
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent()
        .ok_or_else(|| io::Error::other(format!("`{}` is in no folder", path.display())))
}
