//! Packs files as GitLab stores them, and unpacks its archives.

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err::File;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Beyond this, zip needs its wider headers.
const LARGE: u64 = 0xFFFF_FFFF;
/// No link's target is longer (`PATH_MAX`).
const LONGEST_TARGET: u64 = 4096;

/// What to pack.
#[derive(Debug)]
pub(crate) struct Packing {
    pub(crate) root: PathBuf,
    /// Relative to the root.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) to: PathBuf,
}

/// One zip archive, with folders, modes and links.
pub(crate) fn zip(packing: &Packing) -> Result<(), String> {
    let mut archive = ZipWriter::new(BufWriter::new(create(&packing.to)?));
    for path in &packing.files {
        add(&mut archive, &packing.root, path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mut file = archive.finish().map_err(text)?;
    file.flush().map_err(text)
}

fn add(
    archive: &mut ZipWriter<BufWriter<File>>,
    root: &Path,
    path: &Path,
) -> Result<(), zip::result::ZipError> {
    let full = root.join(path);
    let metadata = fs_err::symlink_metadata(&full)?;
    let name = path.to_string_lossy();
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(metadata.permissions().mode() & 0o7777)
        .large_file(metadata.len() >= LARGE);
    if metadata.is_symlink() {
        let target = fs_err::read_link(&full)?;
        archive.add_symlink(name, target.to_string_lossy(), options)
    } else if metadata.is_dir() {
        archive.add_directory(name, options)
    } else if metadata.is_file() {
        archive.start_file(name, options)?;
        io::copy(&mut File::open(&full)?, archive)?;
        Ok(())
    } else {
        // Sockets and pipes have no content to keep.
        Ok(())
    }
}

/// Every file compressed by itself, one after the other.
pub(crate) fn gzip(packing: &Packing) -> Result<(), String> {
    let mut to = BufWriter::new(create(&packing.to)?);
    for path in plain_files(packing) {
        let mut encoder = GzEncoder::new(&mut to, Compression::default());
        let mut file = File::open(path).map_err(text)?;
        io::copy(&mut file, &mut encoder).map_err(text)?;
        encoder.finish().map_err(text)?;
    }
    to.flush().map_err(text)
}

/// The one file as it is.
pub(crate) fn raw(packing: &Packing) -> Result<(), String> {
    let mut files = plain_files(packing);
    match (files.next(), files.next()) {
        (Some(path), None) => {
            let mut to = create(&packing.to)?;
            let copied = io::copy(&mut File::open(path).map_err(text)?, &mut to);
            copied.map(drop).map_err(text)
        }
        _ => Err("exactly one file can be kept as it is".to_owned()),
    }
}

fn plain_files(packing: &Packing) -> impl Iterator<Item = PathBuf> {
    let full = packing.files.iter().map(|path| packing.root.join(path));
    full.filter(|path| fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()))
}

fn create(path: &Path) -> Result<File, String> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(text)
}

/// Unpacks a zip archive into a folder; nothing lands outside of it. Links come last, so that no
/// file of the archive goes through one.
pub(crate) fn unpack(file: &Path, folder: &Path) -> Result<(), String> {
    let file = File::open(file).map_err(text)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(text)?;
    let mut links = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(text)?;
        let Some(path) = entry.enclosed_name() else {
            return Err(format!(
                "`{}` would lie outside of the project",
                entry.name()
            ));
        };
        let path = folder.join(path);
        if entry.is_symlink() {
            let mut target = String::new();
            let mut short = (&mut entry).take(LONGEST_TARGET);
            short.read_to_string(&mut target).map_err(text)?;
            links.push((path, target));
        } else if entry.is_dir() {
            fs_err::create_dir_all(&path).map_err(text)?;
        } else {
            let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
            put(&path, mode, &mut entry).map_err(text)?;
        }
    }
    for (path, target) in links {
        make_way(&path).map_err(text)?;
        fs_err::os::unix::fs::symlink(target, path).map_err(text)?;
    }
    Ok(())
}

fn put(path: &Path, mode: u32, content: &mut impl io::Read) -> io::Result<()> {
    make_way(path)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path)?;
    io::copy(content, &mut file)?;
    Ok(())
}

/// The file that is there goes, and the folder that is not comes.
fn make_way(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = from.path();
        fs_err::create_dir(root.join("d")).unwrap();
        fs_err::write(root.join("d/a.sh"), "#!/bin/sh\n").unwrap();
        fs_err::set_permissions(root.join("d/a.sh"), std::fs::Permissions::from_mode(0o750))
            .unwrap();
        std::os::unix::fs::symlink("a.sh", root.join("d/l")).unwrap();
        let file = root.join("x.zip");
        let files = ["d", "d/a.sh", "d/l"].map(PathBuf::from).to_vec();
        let packing = Packing {
            root: root.to_owned(),
            files,
            to: file.clone(),
        };
        zip(&packing).unwrap();
        for _ in 0..2 {
            unpack(&file, to.path()).unwrap();
        }
        let unpacked = to.path().join("d/a.sh");
        assert_eq!(fs_err::read_to_string(&unpacked).unwrap(), "#!/bin/sh\n");
        let mode = fs_err::metadata(&unpacked).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
        assert_eq!(
            fs_err::read_link(to.path().join("d/l")).unwrap(),
            Path::new("a.sh")
        );
    }

    #[test]
    fn nothing_lands_outside() {
        let folder = tempfile::tempdir().unwrap();
        let (file, inner) = (folder.path().join("x.zip"), folder.path().join("inner"));
        let mut archive = ZipWriter::new(std::fs::File::create(&file).unwrap());
        archive
            .start_file("../evil", SimpleFileOptions::default())
            .unwrap();
        archive.finish().unwrap();
        fs_err::create_dir(&inner).unwrap();
        let _ = unpack(&file, &inner);
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.zip");
        fs_err::write(&file, "not a zip").unwrap();
        assert!(unpack(&file, folder.path()).is_err());
    }
}
