//! Compose files on the disk.

use std::io::{ErrorKind, Read as _};

use ::compose::{Files, Found};

/// No file that a project is made of is larger; what is cannot be read, such as a device without end.
const LARGEST: u64 = 16 << 20;

/// The file system of this machine.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Found {
        let mut text = String::new();
        let read = fs_err::File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
        match read {
            Ok(count) if count as u64 > LARGEST => {
                Found::Failed(format!("it is larger than {} MiB", LARGEST >> 20))
            }
            Ok(_) => Found::Text(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Found::Absent,
            Err(error) => Found::Failed(error.to_string()),
        }
    }
}
