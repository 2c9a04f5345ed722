//! A job's archive, to a file or to standard output.

use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use reqwest::{Method, Response};

use super::Target;
use crate::client::{Job, typed};
use crate::output::Failure;

/// Writes the archive; a file is whole or not there.
pub(super) async fn download(target: &Target<'_>, to: Option<PathBuf>) -> Result<(), Failure> {
    let client = target.client();
    let job: Job = typed(client, &target.get().await?)?;
    let Some(archive) = &job.artifacts_file else {
        let hint = "only `artifacts:paths` of a job that has ended are kept, and for a time only";
        return Err(
            Failure::user(format!("job {} ({}) has no artifacts", job.id, job.name)).hint(hint),
        );
    };
    let request = client.request(Method::GET, &target.path(["artifacts"]));
    let response = client.send(request).await?;
    if to.as_deref() == Some(Path::new("-")) {
        return copy(response, &mut std::io::stdout()).await;
    }
    let to = to.unwrap_or_else(|| PathBuf::from(own_name(&archive.filename)));
    let cannot = |error: std::io::Error| {
        Failure::user(format!("cannot write {}", to.display())).because(&error)
    };
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    copy(response, &mut file).await?;
    file.as_file().sync_all().map_err(cannot)?;
    file.persist(&to).map_err(|error| cannot(error.error))?;
    let screen = target.session.screen;
    screen.line(format!("{} ({} bytes)", to.display(), archive.size))
}

async fn copy(response: Response, to: &mut impl std::io::Write) -> Result<(), Failure> {
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Failure::user("the connection broke in the middle of the archive")
                .because(&error.without_url())
                .hint("try again")
        })?;
        to.write_all(&chunk)
            .map_err(|error| Failure::user("the archive cannot be written").because(&error))?;
    }
    to.flush()
        .map_err(|error| Failure::user("the archive cannot be written").because(&error))
}

/// What a server calls a file must not lead out of this folder.
fn own_name(name: &str) -> &str {
    let name = Path::new(name).file_name().and_then(|name| name.to_str());
    name.filter(|name| !name.starts_with('.'))
        .unwrap_or("artifacts.zip")
}
