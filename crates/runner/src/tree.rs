//! Whether a work tree is as the runner last saw it, without asking git: a walk over a small tree
//! takes a tenth of what starting git does.
//!
//! What is compared is what git's own index compares (change time, size, inode, mode), of every
//! file and folder; it is kept in memory, where no job can reach it. When in doubt the answer is
//! no, and git is asked.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// Larger trees are left to git.
const MOST_ENTRIES: usize = 5000;
/// A file changed again this shortly after could keep its change time, which the kernel counts in
/// ticks.
const TICK: Duration = Duration::from_millis(50);
/// Of `.git` only these matter: what is checked out, and what git believes of the files.
const GIT_FILES: [&str; 3] = [".git/HEAD", ".git/index", ".git/shallow"];

/// The trees that were found clean.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    clean: Mutex<HashMap<PathBuf, Seen>>,
}

/// What a tree holds and how it looked.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    content: String,
    look: u64,
}

impl Trees {
    /// Whether the tree was seen clean with this content, and looks the same now.
    pub(crate) fn is_untouched(&self, folder: &Path, content: &str) -> bool {
        let clean = self
            .clean
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        match (clean.get(folder), look(folder)) {
            (Some(seen), Ok(Some(now))) => seen.content == content && seen.look == now.hash,
            _ => false,
        }
    }

    /// The tree is clean now. It is remembered when it has been quiet for a while.
    pub(crate) fn is_clean(&self, folder: &Path, content: &str) {
        let mut clean = self
            .clean
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        clean.remove(folder);
        if let Ok(Some(now)) = look(folder)
            && now.is_quiet()
        {
            let seen = Seen {
                content: content.to_owned(),
                look: now.hash,
            };
            clean.insert(folder.to_owned(), seen);
        }
    }
}

struct Look {
    hash: u64,
    /// The latest change of any file, in seconds and nanoseconds of Unix time.
    changed: (i64, i64),
}

impl Look {
    fn is_quiet(&self) -> bool {
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age > TICK)
    }
}

/// How the tree looks; `None` when it is too large to look at.
fn look(folder: &Path) -> io::Result<Option<Look>> {
    let mut entries = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name() == ".git" {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            entries.push((entry.path(), metadata));
            if entries.len() > MOST_ENTRIES {
                return Ok(None);
            }
        }
    }
    for name in GIT_FILES {
        let path = folder.join(name);
        match fs_err::symlink_metadata(&path) {
            Ok(metadata) => entries.push((path, metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(summary(entries)))
}

fn summary(mut entries: Vec<(PathBuf, std::fs::Metadata)>) -> Look {
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut hasher = DefaultHasher::new();
    let mut changed = (0, 0);
    for (path, metadata) in &entries {
        let at = (metadata.ctime(), metadata.ctime_nsec());
        changed = changed.max(at);
        path.hash(&mut hasher);
        (metadata.ino(), metadata.mode(), metadata.size(), at).hash(&mut hasher);
        (metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
    }
    Look {
        hash: hasher.finish(),
        changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs_err::create_dir_all(root.join("d/.git")).unwrap();
        fs_err::write(root.join("a"), "one").unwrap();
        let trees = Trees::default();
        trees.is_clean(root, "x");
        assert!(
            !trees.is_untouched(root, "x"),
            "just written: not to be trusted"
        );
        std::thread::sleep(TICK * 2);
        let changes: [(&str, &dyn Fn()); 5] = [
            ("same size", &|| {
                fs_err::write(root.join("a"), "two").unwrap();
            }),
            ("new file", &|| fs_err::write(root.join("b"), "").unwrap()),
            ("new folder", &|| {
                fs_err::create_dir(root.join("e")).unwrap();
            }),
            ("gone", &|| fs_err::remove_file(root.join("b")).unwrap()),
            ("renamed", &|| {
                fs_err::rename(root.join("a"), root.join("c")).unwrap();
            }),
        ];
        for (name, change) in changes {
            trees.is_clean(root, "x");
            assert!(trees.is_untouched(root, "x"), "before: {name}");
            assert!(!trees.is_untouched(root, "y"));
            change();
            assert!(!trees.is_untouched(root, "x"), "{name}");
            std::thread::sleep(TICK * 2);
        }
    }
}
