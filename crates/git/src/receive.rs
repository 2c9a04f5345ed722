//! A push.

use crate::{DenyRule, GitError, Output, Push, Repository, Request, TagPolicy};

/// What a push may do.
#[derive(Debug, Clone)]
pub struct ReceiveOptions {
    /// The largest pack, in bytes.
    pub max_pack_bytes: u64,
    /// Whether tags may be moved and deleted.
    pub tags: TagPolicy,
    /// Further changes that are refused.
    pub deny: Vec<DenyRule>,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            max_pack_bytes: 2 << 30,
            tags: TagPolicy::Fixed,
            deny: Vec::new(),
        }
    }
}

impl Repository {
    /// Serves `POST git-receive-pack`.
    ///
    /// When refs have changed, `after` is called with what was done; it runs to its end even when
    /// the client has gone. The lines that it returns appear as `remote:` lines before the push
    /// ends. It is not called when nothing changed.
    ///
    /// # Errors
    /// When the request is refused before git reads it; later trouble is told inside the answer.
    pub async fn receive_pack<F, Fut>(
        &self,
        request: Request,
        options: ReceiveOptions,
        after: F,
    ) -> Result<Output, GitError>
    where
        F: FnOnce(Push) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        let _ = (request, options, after);
        todo!()
    }
}
