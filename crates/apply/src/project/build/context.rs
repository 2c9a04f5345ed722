//! A context: a folder's files as a tar archive that is read while it is sent, so that its size does
//! not matter. Symbolic links go as what they are: nothing outside of the folder is read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use compose::project::Build as Recipe;
use docker::Archive;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use futures_util::stream;
use rustix::fs::OFlags;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::dockerfile::{self, Dockerfile};
use super::ignore::Rules;

const IGNORE: &str = ".dockerignore";
/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;
/// Pieces that wait to be sent.
const WAITING: usize = 4;

/// What a build is sent.
#[derive(Debug)]
pub(super) struct Context {
    folder: PathBuf,
    rules: Rules,
    /// Files by path, instead of those that are there.
    placed: BTreeMap<String, Vec<u8>>,
}

/// A context on its way.
pub(super) struct Packing {
    work: JoinHandle<io::Result<()>>,
    bytes: Arc<AtomicU64>,
}

impl Context {
    /// A context, and the path of the Dockerfile in it.
    pub(super) fn of(recipe: &Recipe) -> Result<(Self, String), String> {
        let given = Path::new(&recipe.context);
        let folder = given.canonicalize().map_err(|error| {
            let why = error.kind();
            format!("its context {} cannot be read: {why}", given.display())
        })?;
        if !folder.is_dir() {
            return Err(format!("its context {} is no folder", given.display()));
        }
        let dockerfile = Dockerfile::of(recipe, &folder)?;
        let general = read_if_there(&folder.join(IGNORE))?;
        let (own, of) = own_ignore(&dockerfile)?;
        let ignore = own.as_deref().or(general.as_deref()).unwrap_or_default();
        let rules = Rules::parse(&String::from_utf8_lossy(ignore));
        let mut rules = rules.map_err(|error| match own.is_some() {
            true => format!("{}: {error}", of.display()),
            false => format!("{}: {error}", folder.join(IGNORE).display()),
        })?;
        rules.always(&dockerfile.path);
        rules.always(IGNORE);
        let path = dockerfile.path.clone();
        let placed = placed(dockerfile, general);
        let context = Self {
            folder,
            rules,
            placed,
        };
        Ok((context, path))
    }

    /// The archive, which is made as it is sent.
    pub(super) fn pack(self) -> (Archive, Packing) {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let bytes = Arc::<AtomicU64>::default();
        let count = Arc::clone(&bytes);
        let work = spawn_blocking(move || {
            let mut sending = Sending {
                sender,
                piece: Vec::with_capacity(PIECE),
                count,
            };
            let packed = self.write(&mut sending);
            if packed.is_err() {
                // Without it the engine would take what has come for all of it.
                let broken = io::Error::other("the context is not whole");
                let _gone = sending.sender.blocking_send(Err(broken));
            }
            packed
        });
        let pieces = stream::poll_fn(move |context| receiver.poll_recv(context));
        (Archive::stream(pieces), Packing { work, bytes })
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut walk = Walk {
            context: self,
            archive: tar::Builder::new(&mut *to),
            owed: Vec::new(),
        };
        if let Err(error) = walk.all() {
            // It would end the archive, which then looked whole.
            std::mem::forget(walk.archive);
            return Err(error);
        }
        walk.archive.into_inner()?.flush()
    }
}

impl Packing {
    /// Bytes that were handed over.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why the context could not be read; nothing when it was, or when nobody wanted more of it.
    pub(super) async fn why_not(self) -> Option<String> {
        match self.work.await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Some(format!("its context cannot be read: {error}"))
            }
            _ => None,
        }
    }
}

/// `NAME.dockerignore` beside a Dockerfile goes before the context's own (BuildKit's rule).
fn own_ignore(dockerfile: &Dockerfile) -> Result<(Option<Vec<u8>>, PathBuf), String> {
    let Some(file) = &dockerfile.file else {
        return Ok((None, PathBuf::new()));
    };
    let mut name = file.clone().into_os_string();
    name.push(IGNORE);
    let path = PathBuf::from(name);
    Ok((read_if_there(&path)?, path))
}

/// A Dockerfile from elsewhere, and the line that keeps it from being copied into the image.
fn placed(dockerfile: Dockerfile, ignore: Option<Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let Some(content) = dockerfile.content else {
        return BTreeMap::new();
    };
    let mut ignore = ignore.unwrap_or_else(|| IGNORE.into());
    ignore.extend(format!("\n{}\n", dockerfile.path).bytes());
    BTreeMap::from([(dockerfile.path, content), (IGNORE.to_owned(), ignore)])
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match path.exists() {
        true => dockerfile::read(path).map(Some),
        false => Ok(None),
    }
}

/// A folder being packed.
struct Walk<'a, W: Write> {
    context: &'a Context,
    archive: tar::Builder<W>,
    /// Folders that are left out, unless something below is let in.
    owed: Vec<PathBuf>,
}

impl<W: Write> Walk<'_, W> {
    fn all(&mut self) -> io::Result<()> {
        self.folder("".as_ref())?;
        for (path, content) in &self.context.placed {
            let mut header = header(tar::EntryType::Regular, 0o644, 0);
            header.set_size(content.len() as u64);
            self.archive
                .append_data(&mut header, path, content.as_slice())?;
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let entries = fs_err::read_dir(self.context.folder.join(path))?;
        let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names?;
        // In the same order each time.
        names.sort();
        names.into_iter().try_for_each(|name| {
            let path = path.join(name);
            self.entry(&path)
        })
    }

    fn entry(&mut self, path: &Path) -> io::Result<()> {
        let text = path.to_string_lossy();
        if self.context.placed.contains_key(text.as_ref()) {
            return Ok(());
        }
        let is_out = self.context.rules.leave_out(&text);
        let seen = match fs_err::symlink_metadata(self.context.folder.join(path)) {
            // It has gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            seen => seen?,
        };
        if seen.is_dir() {
            if is_out && !self.context.rules.may_let_in_below(&text) {
                return Ok(());
            }
            self.owed.push(path.to_owned());
            if !is_out {
                self.pay()?;
            }
            self.folder(path)?;
            // Nothing below it was let in.
            if self.owed.last().is_some_and(|owed| owed == path) {
                self.owed.pop();
            }
            return Ok(());
        }
        match is_out {
            true => Ok(()),
            false => {
                self.pay()?;
                self.file(path, &seen)
            }
        }
    }

    /// Sends the folders on the way.
    fn pay(&mut self) -> io::Result<()> {
        for path in std::mem::take(&mut self.owed) {
            let seen = fs_err::symlink_metadata(self.context.folder.join(&path))?;
            let mut header = header(tar::EntryType::Directory, seen.mode(), seen.mtime());
            let path = OsStr::from_bytes(&[path.as_os_str().as_bytes(), b"/"].concat()).to_owned();
            self.archive.append_data(&mut header, path, io::empty())?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, seen: &std::fs::Metadata) -> io::Result<()> {
        let whole = self.context.folder.join(path);
        let kind = seen.file_type();
        if kind.is_symlink() {
            let target = fs_err::read_link(&whole)?;
            let mut header = header(tar::EntryType::Symlink, 0o777, seen.mtime());
            return self.archive.append_link(&mut header, path, target);
        }
        if kind.is_file() {
            return self.content(path, &whole);
        }
        // As with Docker's client, which sends none either.
        if kind.is_socket() {
            return Ok(());
        }
        let place = whole.display();
        Err(io::Error::other(format!(
            "{place} is neither file, folder nor link: `.dockerignore` can leave it out"
        )))
    }

    fn content(&mut self, path: &Path, whole: &Path) -> io::Result<()> {
        // What has become a link or a pipe meanwhile is not read.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let file = fs_err::OpenOptions::new()
            .read(true)
            .custom_flags(flags.cast_signed())
            .open(whole)?;
        let seen = file.metadata()?;
        let changed = || {
            let place = whole.display();
            io::Error::other(format!("{place} changed while it was read"))
        };
        if !seen.is_file() {
            return Err(changed());
        }
        let mut header = header(tar::EntryType::Regular, seen.mode(), seen.mtime());
        header.set_size(seen.len());
        let mut exact = Exact {
            file: file.take(seen.len()),
            open: seen.len(),
        };
        self.archive.append_data(&mut header, path, &mut exact)?;
        match exact.open {
            0 => Ok(()),
            _ => Err(changed()),
        }
    }
}

/// Counts what a file still owes.
struct Exact<R> {
    file: R,
    open: u64,
}

impl<R: io::Read> io::Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.open = self.open.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Owner and group are root's, as with Docker's client: what counts is who copies.
fn header(kind: tar::EntryType, mode: u32, mtime: i64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_mtime(mtime.try_into().unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

/// Hands pieces of an archive over; waits while enough of them wait.
struct Sending {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    count: Arc<AtomicU64>,
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let sent = self.sender.blocking_send(Ok(piece.into()));
        // The engine has refused the build meanwhile.
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests;
