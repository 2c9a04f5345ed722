//! Fetching: the list of refs, and the objects.

use bytes::Bytes;

use crate::{GitError, Output, Protocol, Repository, Request, Service};

impl Repository {
    /// The answer to `GET info/refs?service=…`.
    ///
    /// # Errors
    /// When git fails.
    pub async fn advertise(
        &self,
        service: Service,
        protocol: &Protocol,
    ) -> Result<Bytes, GitError> {
        let _ = (service, protocol);
        todo!()
    }

    /// Serves `POST git-upload-pack`. The processes end when the answer is dropped.
    ///
    /// # Errors
    /// When git cannot be started; later trouble ends the answer.
    pub async fn upload_pack(&self, request: Request) -> Result<Output, GitError> {
        let _ = request;
        todo!()
    }
}
