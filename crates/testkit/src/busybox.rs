//! Archives for images of tests: a shell and the usual tools in 2 MB, from Debian's
//! `busybox-static`.

use std::path::Path;

const BINARY: &str = "/bin/busybox";
const TOOLS: [&str; 24] = [
    "cat", "chmod", "cp", "date", "echo", "env", "false", "grep", "head", "hostname", "httpd",
    "id", "kill", "ls", "mkdir", "mkfifo", "nc", "rm", "sh", "sleep", "test", "touch", "true",
    "nslookup",
];

/// A file system's archive with a shell and tools in `/bin`, and these files.
///
/// # Panics
/// When `busybox-static` is not installed (`scripts/setup test` does that).
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let files: Vec<_> = files
        .iter()
        .map(|(path, content)| (*path, content.as_bytes()))
        .collect();
    archive_of(&files)
}

/// [`archive`] with files that need not be text.
///
/// # Panics
/// As [`archive`].
pub fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let binary = fs_err::read(BINARY).expect("scripts/setup test installs busybox-static");
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "bin/busybox", &binary);
    for tool in TOOLS {
        link(&mut archive, &format!("bin/{tool}"), "busybox");
    }
    for folder in ["tmp/", "etc/", "srv/"] {
        let mut header = header(0, tar::EntryType::Directory);
        archive
            .append_data(&mut header, folder, std::io::empty())
            .expect("memory takes it");
    }
    for (path, content) in files {
        add(&mut archive, path, content);
    }
    archive.into_inner().expect("memory takes it")
}

/// Whether `busybox-static` is installed.
pub fn is_installed() -> bool {
    Path::new(BINARY).is_file()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = header(content.len(), tar::EntryType::Regular);
    archive
        .append_data(&mut header, path, content)
        .expect("memory takes it");
}

fn link(archive: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) {
    let mut header = header(0, tar::EntryType::Symlink);
    archive
        .append_link(&mut header, path, target)
        .expect("memory takes it");
}

fn header(size: usize, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(size).expect("files are smaller"));
    header.set_mode(0o755);
    header.set_entry_type(kind);
    header
}
