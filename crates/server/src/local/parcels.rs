//! Artifacts on their way from job to job: files in the pipeline's own folder.

use std::path::{Path, PathBuf};

use axum::extract::multipart::Field;
use tokio::io::AsyncWriteExt as _;

/// An archive that a job has left behind.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) file: PathBuf,
    pub(super) name: String,
    /// In bytes.
    pub(super) size: u64,
}

/// Writes what comes into a file.
pub(super) async fn receive(
    mut field: Field<'_>,
    folder: &Path,
    job: i64,
) -> Result<Parcel, std::io::Error> {
    let name = field.file_name().unwrap_or("artifacts.zip").to_owned();
    let path = folder.join(format!("{job}.zip"));
    let mut file = fs_err::tokio::File::create(&path).await?;
    let mut size = 0;
    while let Some(chunk) = field.chunk().await.map_err(std::io::Error::other)? {
        size += chunk.len() as u64;
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(Parcel {
        file: path,
        name,
        size,
    })
}
