//! Manifests, the tags that name them, and the lists made of both.

use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;
use model::Digest;

use super::{Context as _, Error, Registry, Result, durable, if_there};
use crate::RepositoryName;
use crate::manifest::{Descriptor, Manifest};
use crate::name::{Reference, Tag};

/// A manifest as it was pushed.
pub(crate) struct StoredManifest {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
}

/// What came of storing a manifest.
pub(crate) enum PutOutcome {
    Stored,
    /// It refers to this, which the repository does not hold.
    Missing(Descriptor),
    /// It gives this size for something that has another.
    WrongSize(Descriptor, u64),
}

impl Registry {
    /// The manifest that a tag or digest stands for in this repository.
    pub(crate) fn manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(tag) => self.tagged(name, tag)?,
        };
        match digest {
            Some(digest) => self.manifest_by_digest(name, digest),
            None => Ok(None),
        }
    }

    fn manifest_by_digest(
        &self,
        name: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<StoredManifest>> {
        let read = || {
            let Some(media_type) = if_there(fs::read_to_string(self.manifest_link(name, &digest)))?
            else {
                return Ok(None);
            };
            let bytes = if_there(fs::read(self.blob_path(&digest)))?;
            Ok(bytes.map(|bytes| (media_type, bytes)))
        };
        let found = read().context(format!("read manifest {digest} of {name}"))?;
        Ok(found.map(|(media_type, bytes)| StoredManifest {
            media_type,
            digest,
            bytes,
        }))
    }

    fn tagged(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        let text = if_there(fs::read_to_string(self.tag_path(name, tag)))
            .context(format!("read tag {} of {name}", tag.as_str()))?;
        // A tag is written whole, so a text that is no digest was put there by someone else.
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Stores a manifest, and points the tag to it.
    pub(crate) fn put_manifest(
        &self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        manifest: &Manifest,
    ) -> Result<PutOutcome> {
        let _changes = self.changes();
        for part in manifest.blobs.iter().chain(&manifest.manifests) {
            match self.open_blob(name, &part.digest)? {
                None => return Ok(PutOutcome::Missing(part.clone())),
                Some((_, size)) if size != part.size => {
                    return Ok(PutOutcome::WrongSize(part.clone(), size));
                }
                Some(_) => {}
            }
        }
        self.write_manifest(name, tag, manifest)
            .context(format!("store manifest {} in {name}", manifest.digest))?;
        Ok(PutOutcome::Stored)
    }

    /// Each file refers only to those written before it.
    fn write_manifest(
        &self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        manifest: &Manifest,
    ) -> std::io::Result<()> {
        let digest = &manifest.digest;
        self.write(&self.blob_path(digest), &manifest.bytes)?;
        self.write(
            &self.manifest_link(name, digest),
            manifest.media_type.as_bytes(),
        )?;
        if let Some(subject) = &manifest.subject {
            let entry = serde_json::to_vec(&manifest.as_referrer())?;
            let path = self.referrers_path(name, subject).join(digest.hex());
            self.write(&path, &entry)?;
        }
        match tag {
            Some(tag) => self.write(&self.tag_path(name, tag), digest.as_str().as_bytes()),
            None => Ok(()),
        }
    }

    /// Removes a tag, or a manifest with every tag that points to it; `false` when there is none.
    /// Its blobs stay.
    pub(crate) fn delete_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<bool> {
        let _changes = self.changes();
        match reference {
            Reference::Tag(tag) => durable::remove(&self.tag_path(name, tag))
                .context(format!("delete tag {} of {name}", tag.as_str())),
            Reference::Digest(digest) => self.delete_by_digest(name, digest),
        }
    }

    /// In the opposite order of writing.
    fn delete_by_digest(&self, name: &RepositoryName, digest: &Digest) -> Result<bool> {
        let Some(stored) = self.manifest_by_digest(name, digest.clone())? else {
            return Ok(false);
        };
        for tag in self.tags(name)?.unwrap_or_default() {
            if self.tagged(name, &tag)?.as_ref() == Some(digest) {
                durable::remove(&self.tag_path(name, &tag))
                    .context(format!("delete tag {} of {name}", tag.as_str()))?;
            }
        }
        let doing = format!("delete manifest {digest} of {name}");
        let manifest = Manifest::parse(stored.bytes, Some(&stored.media_type));
        if let Some(subject) = manifest.ok().and_then(|manifest| manifest.subject) {
            let entry = self.referrers_path(name, &subject).join(digest.hex());
            durable::remove(&entry).context(&doing)?;
        }
        durable::remove(&self.manifest_link(name, digest)).context(&doing)
    }

    /// The tags of a repository in order; `None` when nothing was ever pushed to it.
    pub(crate) fn tags(&self, name: &RepositoryName) -> Result<Option<Vec<Tag>>> {
        let folder = self.repository_path(name);
        let list = || {
            if if_there(fs::metadata(folder.join("_manifests")))?.is_none() {
                return Ok(None);
            }
            file_names(&folder.join("_tags")).map(Some)
        };
        let names = list().context(format!("list the tags of {name}"))?;
        Ok(names.map(|names| names.iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// The manifests that say something about this one.
    pub(crate) fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>> {
        let doing = format!("list what refers to {subject} in {name}");
        let folder = self.referrers_path(name, subject);
        let mut found = Vec::new();
        for file in file_names(&folder).context(&doing)? {
            let entry = if_there(fs::read(folder.join(file))).context(&doing)?;
            if let Some(entry) = entry {
                let descriptor = serde_json::from_slice(&entry).map_err(|error| Error {
                    operation: doing.clone(),
                    source: error.into(),
                })?;
                found.push(descriptor);
            }
        }
        Ok(found)
    }

    /// The repositories that hold anything, in order.
    ///
    /// # Errors
    /// When the folders cannot be read.
    ///
    /// # Panics
    /// When the look itself panics.
    pub async fn names(&self) -> Result<Vec<RepositoryName>> {
        let registry = self.clone();
        let look = move || {
            registry.collect(&|path| Ok(file_names(path)?.iter().any(|part| part.starts_with('_'))))
        };
        tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Removes a repository with its tags and manifests, whose contents stay as others may share them. What
    /// lies below it stays too. Cut off, it is done again.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    ///
    /// # Panics
    /// When the removal itself panics.
    pub async fn remove(&self, name: &RepositoryName) -> Result<()> {
        let (registry, name) = (self.clone(), name.clone());
        let removal = move || {
            let _changes = registry.changes();
            registry
                .remove_folders(&registry.repository_path(&name))
                .context(format!("remove {name}"))
        };
        tokio::task::spawn_blocking(removal)
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Tags first: what they lead to is there as long as they are. Folders around that are empty then go too.
    fn remove_folders(&self, repository: &Path) -> std::io::Result<()> {
        for part in ["_tags", "_referrers", "_manifests", "_blobs"] {
            if_there(fs::remove_dir_all(repository.join(part)))?;
        }
        let root = self.folder("repositories");
        let around = repository.ancestors().take_while(|folder| *folder != root);
        for folder in around {
            match fs::remove_dir(folder) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => break,
                other => if_there(other)?,
            };
        }
        Ok(())
    }

    /// The repositories that hold manifests, in order.
    pub(crate) fn repositories(&self) -> Result<Vec<RepositoryName>> {
        self.collect(&|path| Ok(!file_names(&path.join("_manifests"))?.is_empty()))
    }

    fn collect(&self, is_one: &IsOne) -> Result<Vec<RepositoryName>> {
        let mut found = Vec::new();
        collect_repositories(&self.folder("repositories"), "", is_one, &mut found)
            .context("list its repositories")?;
        found.sort();
        Ok(found)
    }
}

/// Whether a folder is to be found.
type IsOne = dyn Fn(&Path) -> std::io::Result<bool>;

fn collect_repositories(
    folder: &Path,
    prefix: &str,
    is_one: &IsOne,
    found: &mut Vec<RepositoryName>,
) -> std::io::Result<()> {
    for part in file_names(folder)? {
        if part.starts_with('_') {
            continue;
        }
        let name = format!("{prefix}{part}");
        let path = folder.join(&part);
        if let Ok(repository) = name.parse()
            && is_one(&path)?
        {
            found.push(repository);
        }
        collect_repositories(&path, &format!("{name}/"), is_one, found)?;
    }
    Ok(())
}

/// The names in a folder, in order; none when there is no such folder.
fn file_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let Some(entries) = if_there(fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}
