//! Asks targets for their health without giving them traffic.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health;
use super::pool::Pool;
use crate::error::EdgeError;
use crate::route::RouteKey;
use crate::span::Span;
use crate::spec::RouteSpec;

/// Asks the targets of these routes as a [`crate::Set`] of them would, until all are well. Needs no
/// running edge, and changes nothing.
///
/// # Errors
/// What is wrong with each route, or with its targets at the deadline.
pub async fn probe(routes: &[RouteSpec], deadline: Span) -> Result<(), EdgeError> {
    let mut pools = Vec::new();
    for spec in routes {
        spec.check().map_err(EdgeError::Spec)?;
        pools.push(Pool::restore(Arc::new(spec.clone()), 0, Arc::default()));
    }
    let until = Instant::now() + deadline.get().max(Duration::from_millis(1));
    let checks = pools.iter().map(|pool| async move {
        let found = health::all_well(pool, until).await;
        found.err().map(|ill| (pool.spec.route.clone(), ill))
    });
    let found = futures_util::future::join_all(checks).await;
    let ill: Vec<(RouteKey, Vec<String>)> = found.into_iter().flatten().collect();
    match ill.is_empty() {
        true => Ok(()),
        false => Err(EdgeError::Unhealthy { deadline, ill }),
    }
}
