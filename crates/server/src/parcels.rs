//! What a runner sends of a job's artifacts, written to a file as it comes.

use std::io;
use std::path::{Path, PathBuf};

use axum::extract::multipart::Field;
use fs_err::tokio::File;
use model::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::http::ApiError;

/// A file that a job has left behind.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) file: PathBuf,
    /// As the runner calls it.
    pub(crate) name: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// Why it was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// It has more bytes than it may.
    #[error("413 Payload Too Large: artifacts of one kind may have {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The connection broke, or what came is no form.
    #[error("400 Bad Request: {0}")]
    Broken(String),
    /// It could not be written.
    #[error("artifacts cannot be written")]
    Write(#[source] io::Error),
}

impl From<ReceiveError> for ApiError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::TooLarge { .. } => {
                Self::new(http::StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            ReceiveError::Broken(_) => Self::bad_request(error.to_string()),
            ReceiveError::Write(_) => Self::internal(&error),
        }
    }
}

/// Writes what comes into this file, which is on the disk when this returns.
///
/// # Errors
/// When it has more than `limit` bytes, breaks off, or cannot be written; a part may lie in the file then.
pub(crate) async fn receive(
    mut field: Field<'_>,
    path: &Path,
    limit: u64,
) -> Result<Parcel, ReceiveError> {
    let name = field.file_name().unwrap_or("artifacts.zip").to_owned();
    let mut file = File::create(path).await.map_err(ReceiveError::Write)?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let broken = |error: axum::extract::multipart::MultipartError| error.body_text();
    while let Some(chunk) =
        (field.chunk().await).map_err(|error| ReceiveError::Broken(broken(error)))?
    {
        size += chunk.len() as u64;
        if size > limit {
            return Err(ReceiveError::TooLarge { limit });
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(ReceiveError::Write)?;
    }
    file.flush().await.map_err(ReceiveError::Write)?;
    file.sync_all().await.map_err(ReceiveError::Write)?;
    Ok(Parcel {
        file: path.to_owned(),
        name,
        size,
        digest: Digest::from_hash(hash.finalize().into()),
    })
}
