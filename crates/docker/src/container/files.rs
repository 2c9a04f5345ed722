//! Files into a container and out of it, as tar archives; also while it does not run.

use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::archive::Archive;
use crate::engine::Engine;
use crate::error::{DockerError, Operation};
use crate::name::Name;

impl Engine {
    /// Unpacks an archive in a folder of a container, which must exist.
    ///
    /// # Errors
    /// Not found: the container or the folder.
    pub async fn copy_in(
        &self,
        name: &Name,
        folder: &str,
        archive: Archive,
    ) -> Result<(), DockerError> {
        let operation = Operation::of("copy files into the container", name);
        let options = UploadToContainerOptions {
            path: folder.to_owned(),
            ..Default::default()
        };
        let (body, sent) = archive.into_body();
        let copying = self
            .docker
            .upload_to_container(name.as_str(), Some(options), body);
        let copied = self.unless_dead(&operation, &sent, copying).await?;
        copied.map_err(|wrong| self.error(&operation, wrong))
    }

    /// A file or folder of a container as an archive, as it comes.
    ///
    /// The stream's errors: not found: the container or the path.
    pub fn copy_out(
        &self,
        name: &Name,
        path: &str,
    ) -> impl Stream<Item = Result<Bytes, DockerError>> + Send + Unpin + use<> {
        let error = self.errors_of(Operation::of("copy files out of the container", name));
        let options = DownloadFromContainerOptions {
            path: path.to_owned(),
        };
        let docker = self.docker.clone();
        let chunks = docker.download_from_container(name.as_str(), Some(options));
        chunks.boxed().map(move |chunk| chunk.map_err(&error))
    }
}
