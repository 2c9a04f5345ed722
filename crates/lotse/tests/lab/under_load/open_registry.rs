//! A registry on the lab's gateway that lets everybody in: the registry of Lotse, without a server.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use model::Secret;
use registry::{
    Access, AccessError, Action, Identity, Permission, Registry, RepositoryName, TokenKey,
};

struct Everybody;

impl Access for Everybody {
    fn authenticate<'a>(
        &'a self,
        user: &'a str,
        _password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Identity>, AccessError>> {
        async move { Ok(Some(Identity::new(user))) }.boxed()
    }

    fn permitted<'a>(
        &'a self,
        _identity: Option<&'a Identity>,
        _repository: &'a RepositoryName,
        _action: Action,
    ) -> BoxFuture<'a, Result<Permission, AccessError>> {
        async move { Ok(Permission::Granted) }.boxed()
    }
}

/// Serves port 80 of the gateway until the runtime ends, so that a name without a port means it.
pub(crate) async fn serve(gateway: Ipv4Addr, folder: &Path) {
    let stored = Registry::open(folder).unwrap();
    let router = registry::router(stored, Arc::new(Everybody), TokenKey::new([7; 32]));
    let listener = tokio::net::TcpListener::bind((gateway, 80)).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
}
