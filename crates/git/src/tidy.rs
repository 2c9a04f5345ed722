//! What processes that were killed leave behind, and the repositories' own housekeeping.
//!
//! git removes its temporary files and locks itself unless it is killed or the machine fails. A
//! lock that stays would block its branch for good.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::Repository;

/// Nobody holds a lock for so long when the server has just started.
const AGE_AT_START: Duration = Duration::from_secs(60);

/// Nobody holds one for so long at any time.
const AGE: Duration = Duration::from_secs(3600);

/// Clears all repositories below this folder, and `tmp`.
pub(crate) fn after_crash(root: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(root.join("tmp"))? {
        remove_if_old(&entry?, AGE_AT_START)?;
    }
    for entry in fs_err::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "git") {
            clear(&path, AGE_AT_START)?;
        }
    }
    Ok(())
}

impl Repository {
    /// Packs what has become many, when it is worth it, as `git gc --auto` decides.
    pub(crate) async fn maintain(&self) {
        let folder = self.folder().to_owned();
        let cleared = tokio::task::spawn_blocking(move || clear(&folder, AGE)).await;
        if let Ok(Err(error)) = cleared {
            tracing::warn!(%error, "cannot clear stale files of a repository");
        }
        let gc = self
            .git("gc")
            .args(["--auto", "--quiet"])
            .output(b"", 1 << 20);
        if let Err(error) = gc.await {
            tracing::warn!(%error, "cannot pack a repository");
        }
    }
}

fn clear(repository: &Path, age: Duration) -> io::Result<()> {
    let temporary = |name: &str| name.starts_with("tmp_");
    let lock = |name: &str| name.ends_with(".lock");
    remove_where(&repository.join("objects"), age, temporary)?;
    remove_where(&repository.join("objects/pack"), age, temporary)?;
    remove_where(repository, age, lock)?;
    clear_refs(&repository.join("refs"), age)
}

/// git allows no ref whose name ends in `.lock`.
fn clear_refs(folder: &Path, age: Duration) -> io::Result<()> {
    remove_where(folder, age, |name| name.ends_with(".lock"))?;
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            clear_refs(&entry.path(), age)?;
        }
    }
    Ok(())
}

fn remove_where(folder: &Path, age: Duration, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in entries(folder)? {
        if entry.file_name().to_str().is_some_and(&which) {
            remove_if_old(&entry, age)?;
        }
    }
    Ok(())
}

/// None when the folder is gone: a running git removes empty ones.
fn entries(folder: &Path) -> io::Result<Vec<fs_err::DirEntry>> {
    match fs_err::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove_if_old(entry: &fs_err::DirEntry, age: Duration) -> io::Result<()> {
    let Ok(metadata) = entry.metadata() else {
        return Ok(());
    };
    let old = metadata
        .modified()?
        .elapsed()
        .is_ok_and(|elapsed| elapsed > age);
    if !old {
        return Ok(());
    }
    tracing::info!(path = %entry.path().display(), "removing what a crash left behind");
    let removed = if metadata.is_dir() {
        fs_err::remove_dir_all(entry.path())
    } else {
        fs_err::remove_file(entry.path())
    };
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn old_locks_and_temporary_files_go_and_the_rest_stays() {
        let root = tempfile::tempdir().unwrap();
        let stale = [
            "p1.git/refs/heads/feature/main.lock",
            "p1.git/packed-refs.lock",
            "p1.git/objects/pack/tmp_pack_x",
            "p1.git/objects/tmp_objdir-incoming-x/pack/a.pack",
            "tmp/p2-1-0/HEAD",
        ];
        let kept = [
            "p1.git/HEAD",
            "p1.git/refs/heads/feature/main",
            "hooks/x.lock",
        ];
        let fresh = "p1.git/refs/heads/other.lock";
        let hour_ago = SystemTime::now() - Duration::from_secs(3601);
        for file in stale.iter().chain(&kept).chain([&fresh]) {
            let path = root.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "").unwrap();
        }
        for file in stale.iter().chain(&kept) {
            let path = root.path().join(file);
            for path in [path.parent().unwrap(), &path] {
                let file = fs_err::File::open(path).unwrap();
                file.file().set_modified(hour_ago).unwrap();
            }
        }
        for folder in ["p1.git/objects/tmp_objdir-incoming-x", "tmp/p2-1-0"] {
            let file = fs_err::File::open(root.path().join(folder)).unwrap();
            file.file().set_modified(hour_ago).unwrap();
        }
        after_crash(root.path()).unwrap();
        for file in stale {
            assert!(!root.path().join(file).exists(), "{file}");
        }
        for file in kept.iter().chain([&fresh]) {
            assert!(root.path().join(file).exists(), "{file}");
        }
    }
}
