//! When an edge serves.

use std::time::Duration;

use docker::container::LogRequest;
use docker::{Engine, Name};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::EdgeError;

/// What `lotse edge run` says when it serves; behind it stands with how many routes.
pub const READY: &str = "the edge runs with";

/// A take-over may take 20 s of this.
const PATIENCE: Duration = Duration::from_secs(40);
const LAST_WORDS: usize = 10;
const MOST: usize = 1 << 20;

/// Returns when the edge in this container serves.
pub(super) async fn wait(engine: &Engine, name: &Name) -> Result<(), EdgeError> {
    match timeout(PATIENCE, says_so(engine, name)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(false)) | Err(_) => {
            let words = engine.last_lines(name, LAST_WORDS).await?;
            Err(EdgeError::NotReady(words))
        }
    }
}

async fn says_so(engine: &Engine, name: &Name) -> Result<bool, EdgeError> {
    let request = LogRequest {
        follow: true,
        ..LogRequest::default()
    };
    let mut logs = engine.logs(name, request);
    let mut said = Vec::new();
    while let Some(chunk) = logs.next().await {
        said.extend_from_slice(&chunk?.bytes);
        if String::from_utf8_lossy(&said).contains(READY) {
            return Ok(true);
        }
        if said.len() > MOST {
            return Ok(false);
        }
    }
    Ok(false)
}
