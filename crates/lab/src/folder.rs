//! The folder in which a lab keeps itself, and the lock on it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::name::{HostName, LabName};
use crate::record::Record;
use crate::share::SharePath;
use crate::tool::Tools;
use crate::{Error, Result};

const BASE: &str = "/var/lib/lotse/lab";
const LONGEST_SOCKET: usize = 107;

/// A lab's folder on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// Held while a lab is changed; freed by the kernel when its holder ends.
pub(crate) struct Lock(File);

impl Lock {
    /// The tools to be used while the lock is held.
    pub(crate) fn tools(&self) -> Tools<'_> {
        Tools(Some(&self.0))
    }
}

impl Folder {
    /// Where a lab is kept unless told otherwise.
    pub fn usual(name: &LabName) -> PathBuf {
        Path::new(BASE).join(name.as_str())
    }

    /// The folders of all labs in the usual place.
    pub fn all() -> Vec<Self> {
        let Ok(entries) = fs_err::read_dir(BASE) else {
            return Vec::new();
        };
        let mut folders: Vec<_> = entries
            .filter_map(|entry| Some(Self(entry.ok()?.path())))
            .collect();
        folders.retain(|folder| folder.record_path().is_file());
        folders.sort_by(|a, b| a.0.cmp(&b.0));
        folders
    }

    /// The folder at a path, which need not exist.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        std::path::absolute(path)
            .map(Self)
            .map_err(Error::file("make the lab's folder an absolute path"))
    }

    /// Makes the folder, or takes it when it is empty or this crate made it.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folder = Self::at(path)?;
        fs_err::create_dir_all(&folder.0).map_err(Error::file("make the lab's folder"))?;
        if !folder.is_ours()? {
            return Err(Error::NotALab { folder: folder.0 });
        }
        fs_err::set_permissions(&folder.0, PermissionsExt::from_mode(0o711))
            .map_err(Error::file("guard the lab's folder"))?;
        for part in ["hosts", "keys"] {
            make_private(&folder.0.join(part))?;
        }
        fs_err::create_dir_all(folder.shared().join("bin"))
            .map_err(Error::file("make the lab's shared folder"))?;
        Ok(folder)
    }

    /// Whether there is anything in the folder, and all of it a lab's.
    pub(crate) fn is_a_labs(&self) -> bool {
        self.0.is_dir() && self.is_ours().unwrap_or(false)
    }

    /// Empty, or with the parts that this crate makes. The record alone proves nothing: a crash may
    /// have come before it.
    fn is_ours(&self) -> Result<bool> {
        let known = [
            "lab.json",
            "lab.json.new",
            "hosts",
            "keys",
            "share",
            "shares",
            "names",
            "names.new",
            "names.log",
        ];
        let entries =
            fs_err::read_dir(&self.0).map_err(Error::file("look into the lab's folder"))?;
        Ok(entries
            .flatten()
            .all(|entry| known.iter().any(|part| entry.file_name() == *part)))
    }

    /// Waits for the lock; `None` if the folder is gone (the former holder took the lab down).
    pub(crate) fn lock(&self) -> Result<Option<Lock>> {
        let Ok(file) = fs_err::File::open(&self.0).map(fs_err::File::into_file) else {
            return Ok(None);
        };
        flock(&file, FlockOperation::LockExclusive)
            .map_err(Error::system("lock the lab's folder"))?;
        let inode = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let held = file
            .metadata()
            .map(inode)
            .map_err(Error::file("look at the lab's folder"))?;
        Ok((fs_err::metadata(&self.0).map(inode).ok() == Some(held)).then_some(Lock(file)))
    }

    /// The lock that every process of a host holds for as long as it lives; `None` while one does.
    pub(crate) fn try_lock_host(&self, host: &HostName) -> Result<Option<File>> {
        let folder = fs_err::File::open(self.host(host));
        let folder = folder
            .map_err(Error::file("open the host's folder for its lock"))?
            .into_file();
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(folder)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(source) => Err(Error::System {
                doing: "lock the host's folder",
                source,
            }),
        }
    }

    /// The hosts that have a folder, whatever the record says.
    pub(crate) fn hosts(&self) -> Vec<HostName> {
        let entries = fs_err::read_dir(self.0.join("hosts"))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// The record, or `None` where there is no lab.
    pub(crate) fn load(&self) -> Result<Option<Record>> {
        let path = self.record_path();
        match fs_err::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| Error::Record { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File {
                doing: "read the lab's record",
                source,
            }),
        }
    }

    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        let path = self.record_path();
        let text = serde_json::to_vec_pretty(record).map_err(|source| Error::Record {
            path: path.clone(),
            source,
        })?;
        replace(&path, &text, 0o600).map_err(Error::file("write the lab's record"))
    }

    /// Removes the folder and, in the usual place, its parents when they are empty.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs_err::remove_dir_all(&self.0) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::File {
                    doing: "remove the lab's folder",
                    source,
                });
            }
            _ => {}
        }
        if self.0.starts_with(BASE) {
            for parent in [BASE, "/var/lib/lotse"] {
                let _ = fs_err::remove_dir(parent);
            }
        }
        Ok(())
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The part that every host sees as `/lab`, read-only.
    pub fn shared(&self) -> PathBuf {
        self.0.join("share")
    }

    /// A folder that several hosts have in common, on this machine.
    pub(crate) fn share(&self, path: &SharePath) -> PathBuf {
        self.0.join("shares").join(path.folder_name())
    }

    fn record_path(&self) -> PathBuf {
        self.0.join("lab.json")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.0.join("names")
    }

    pub(crate) fn names_log(&self) -> PathBuf {
        self.0.join("names.log")
    }

    pub(crate) fn host(&self, name: &HostName) -> PathBuf {
        self.0.join("hosts").join(name.as_str())
    }

    pub(crate) fn socket(&self, name: &HostName) -> PathBuf {
        self.host(name).join("run/docker.sock")
    }

    pub(crate) fn log(&self, host: &HostName, what: &str) -> PathBuf {
        self.host(host).join("log").join(format!("{what}.log"))
    }

    /// Makes a host's part, and checks that its socket's address is not too long.
    pub(crate) fn make_host(&self, name: &HostName) -> Result<()> {
        let socket = self.socket(name).display().to_string();
        if socket.len() > LONGEST_SOCKET {
            return Err(Error::FolderTooDeep {
                folder: self.0.clone(),
                socket,
            });
        }
        let folder = self.host(name);
        make_private(&folder)?;
        for part in ["root", "upper", "work", "private", "docker", "run", "log"] {
            fs_err::create_dir_all(folder.join(part))
                .map_err(Error::file("make the host's folder"))?;
        }
        // The upper folder becomes the host's `/`.
        fs_err::set_permissions(folder.join("upper"), PermissionsExt::from_mode(0o755))
            .map_err(Error::file("make the host's root folder"))
    }
}

fn make_private(path: &Path) -> Result<()> {
    fs_err::create_dir_all(path).map_err(Error::file("make a part of the lab's folder"))?;
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o700))
        .map_err(Error::file("guard a part of the lab's folder"))
}

/// Writes a file in one step: a reader sees the old or the new content. A link at `path` is
/// replaced, never followed.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.options_mut().mode(mode);
    let mut file = options.open(&new)?;
    file.write_all(content)?;
    file.set_permissions(PermissionsExt::from_mode(mode))?;
    file.sync_all()?;
    fs_err::rename(&new, path)
}
