//! Configs and secrets: put into a container as files before it starts.

use std::io;

use compose::project::FileMount;

/// Of configs and secrets, where the file says nothing (Compose specification, "Configs").
const USUAL_MODE: u32 = 0o444;

/// A file in a container.
#[derive(Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Its absolute path.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Its owner's number.
    pub uid: u64,
    /// Its group's number.
    pub gid: u64,
    /// Its permissions.
    pub mode: u32,
}

impl PlacedFile {
    /// A config or secret as a service mounts it.
    pub(crate) fn of(mount: &FileMount, content: Vec<u8>) -> Self {
        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        Self {
            path: mount.target.clone(),
            content,
            uid: number(&mount.uid).unwrap_or(0),
            gid: number(&mount.gid).unwrap_or(0),
            mode: mount.mode.unwrap_or(USUAL_MODE),
        }
    }
}

impl std::fmt::Debug for PlacedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlacedFile({}, {} bytes)", self.path, self.content.len())
    }
}

/// A tar archive of these files for `/`. Folders that are missing on the way are made by whoever
/// unpacks it.
///
/// # Errors
/// When a path is none that an archive can have.
pub fn archive(files: &[PlacedFile]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(file.content.len()).map_err(io::Error::other)?);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        let path = file.path.trim_start_matches('/');
        archive.append_data(&mut header, path, file.content.as_slice())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn files_keep_owner_mode_and_content() {
        let file = PlacedFile {
            path: "/run/secrets/key".to_owned(),
            content: b"hunter2".to_vec(),
            uid: 1000,
            gid: 7,
            mode: 0o400,
        };
        assert!(!format!("{file:?}").contains("hunter2"));
        let bytes = archive(std::slice::from_ref(&file)).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 7));
        assert_eq!(header.mode().unwrap(), 0o400);
        assert_eq!(entry.path().unwrap().to_str(), Some("run/secrets/key"));
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "hunter2");
    }

    #[test]
    fn no_file_gets_out_of_the_container() {
        let file = PlacedFile {
            path: "/a/../../etc/passwd".to_owned(),
            content: Vec::new(),
            uid: 0,
            gid: 0,
            mode: 0o444,
        };
        assert!(archive(&[file]).is_err());
    }
}
