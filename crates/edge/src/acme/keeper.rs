//! Renews certificates in time, and orders those that are missing, as long as the edge serves.
//!
//! One after the other, so that a CA never sees a crowd; a CA that hands out nothing is asked
//! ever more rarely.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Acme, AcmeError, Need};
use crate::edge::shared::Shared;
use crate::error::with_sources;

/// The clock may be set, and a machine may sleep: no longer without a look.
const LOOK: Duration = Duration::from_secs(60);
/// So that a moment that is never reached cannot make a busy loop.
const SHORTEST: Duration = Duration::from_millis(100);

/// Works until the edge ends or has handed over.
pub(crate) async fn keep(shared: Arc<Shared>) {
    loop {
        let mut broken = false;
        for wanted in shared.table.wanted_certificates() {
            if shared.acme.kept(&wanted.name).due() > Timestamp::now() {
                continue;
            }
            let name = wanted.name.clone();
            if let Err(error) = Acme::obtain(&shared, wanted, Need::Fresh, None).await {
                let reason = with_sources(&error);
                tracing::warn!(name, "no new certificate: {reason}");
                if matches!(error, AcmeError::Ended) {
                    // Over, or the program's own fault: not at once again.
                    broken = true;
                    break;
                }
            }
        }
        let rest = if broken { LOOK } else { rest(&shared) };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shared.acme.changed.notified() => {}
            () = shared.leaving.cancelled() => return,
        }
    }
}

/// How long there is nothing to do.
fn rest(shared: &Shared) -> Duration {
    let wanted = shared.table.wanted_certificates().into_iter();
    let next = wanted
        .map(|wanted| shared.acme.kept(&wanted.name).due())
        .min();
    let left = next.map(|next| next.duration_since(Timestamp::now()));
    let left = left.map(|left| Duration::try_from(left).unwrap_or(SHORTEST));
    left.unwrap_or(LOOK).clamp(SHORTEST, LOOK)
}
