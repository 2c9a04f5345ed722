//! Ports that do not speak HTTP: each connection goes to one target as a whole.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::edge::shared::Shared;
use crate::edge::table::Found;
use crate::route::Listen;
use crate::target::connect::{self, Wanted};
use crate::target::pool::{Lease, TargetLease};
use crate::tunnel;

/// A client's connection.
pub(crate) struct Caller {
    pub(crate) stream: TcpStream,
    /// What was read from it already.
    pub(crate) ahead: Bytes,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
}

/// Serves a connection until it ends. Without a target it is closed at once.
pub(crate) async fn serve(shared: &Shared, listen: Listen, mut caller: Caller) {
    let Some(pool) = find_pool(shared, listen).await else {
        return;
    };
    let Some((mut theirs, _target, pool)) = connect(shared, pool, &caller).await else {
        return;
    };
    if theirs.write_all(&caller.ahead).await.is_err() {
        return;
    }
    tokio::select! {
        ended = tunnel::run(&mut caller.stream, &mut theirs, &pool.cut) => {
            tracing::trace!(?ended, client = %caller.client, "a connection ended");
        }
        () = shared.over.cancelled() => {}
    }
}

async fn find_pool(shared: &Shared, listen: Listen) -> Option<Lease> {
    loop {
        match shared.table.find(listen, "", "/") {
            Found::Pool(lease) => return Some(lease),
            Found::Nothing | Found::Maintenance(_) => return None,
            Found::Paused(until, mut mode) => {
                tokio::time::timeout_at(until.into(), mode.changed())
                    .await
                    .ok()?
                    .ok()?;
            }
        }
    }
}

/// Connects to the first target that accepts: nothing is lost by trying another.
async fn connect(
    shared: &Shared,
    mut pool: Lease,
    caller: &Caller,
) -> Option<(TcpStream, TargetLease, Lease)> {
    let wanted = Wanted {
        kept: None,
        client: caller.client,
        server: caller.server,
    };
    let mut tried = Vec::new();
    loop {
        let Some(target) = pool.pick(&tried) else {
            let other = shared.table.fall_back(&pool)?;
            if other.generation == pool.generation {
                return None;
            }
            pool = other;
            tried.clear();
            continue;
        };
        match connect::open(&pool, &target, wanted).await {
            Ok(stream) => {
                target.succeeded();
                return Some((stream, target, pool));
            }
            Err(error) => {
                tracing::debug!(%error, "a target does not answer");
                target.failed();
                tried.push(target.address);
            }
        }
    }
}
