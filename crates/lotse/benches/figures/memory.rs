//! What the server's process needs while nobody asks it anything.

use std::time::Duration;

use testkit::lotse::Lotse;

/// In KiB, from `/proc/…/smaps_rollup`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All that is resident.
    pub(crate) rss: u64,
    /// The same, with what other processes share counted in part.
    pub(crate) pss: u64,
}

/// After two seconds of rest.
pub(crate) async fn after_rest(lotse: &Lotse) -> Memory {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let text = fs_err::read_to_string(format!("/proc/{}/smaps_rollup", lotse.pid())).unwrap();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Memory {
        rss: field("Rss:"),
        pss: field("Pss:"),
    }
}
