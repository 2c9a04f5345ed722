//! Blobs: contents under their digests, and the links that make them visible in repositories.

use fs_err as fs;
use model::Digest;

use super::{Context as _, Registry, Result, durable, if_there};
use crate::RepositoryName;

impl Registry {
    /// The blob's file and its size in bytes, when it is visible in this repository. A manifest is
    /// a blob as well: some clients fetch the parts of an index that way.
    pub(crate) fn open_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(fs::File, u64)>> {
        let open = || {
            if !self.is_linked(name, digest)? {
                return Ok(None);
            }
            let Some(file) = if_there(fs::File::open(self.blob_path(digest)))? else {
                return Ok(None);
            };
            let size = file.metadata()?.len();
            Ok(Some((file, size)))
        };
        open().context(format!("read blob {digest}"))
    }

    /// Makes a blob of one repository visible in another; `false` when the first has none.
    pub(crate) fn mount_blob(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool> {
        if self.open_blob(from, digest)?.is_none() {
            return Ok(false);
        }
        self.link_blob(to, digest)?;
        Ok(true)
    }

    /// Makes a stored blob visible in a repository.
    pub(super) fn link_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<()> {
        durable::touch(&self.blob_link(name, digest))
            .context(format!("link blob {digest} to {name}"))
    }

    /// Makes a blob invisible in this repository; `false` when it was. Other repositories keep it.
    pub(crate) fn unlink_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<bool> {
        let _changes = self.changes();
        durable::remove(&self.blob_link(name, digest))
            .context(format!("delete blob {digest} from {name}"))
    }

    fn is_linked(&self, name: &RepositoryName, digest: &Digest) -> std::io::Result<bool> {
        for link in [
            self.blob_link(name, digest),
            self.manifest_link(name, digest),
        ] {
            if if_there(fs::metadata(link))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
