//! A registry in the network of an engine that lets one user in, with a password.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use model::Secret;
use registry::{
    Access, AccessError, Action, Identity, Permission, Registry, RepositoryName, TokenKey,
};

pub(crate) const USER: &str = "deploy";
pub(crate) const PASSWORD: &str = "pass:word";

struct OneUser;

impl Access for OneUser {
    fn authenticate<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Identity>, AccessError>> {
        let fits = user == USER && password.expose() == PASSWORD;
        async move { Ok(fits.then(|| Identity::new(user))) }.boxed()
    }

    fn permitted<'a>(
        &'a self,
        identity: Option<&'a Identity>,
        _repository: &'a RepositoryName,
        _action: Action,
    ) -> BoxFuture<'a, Result<Permission, AccessError>> {
        let answer = match identity {
            Some(_) => Permission::Granted,
            None => Permission::Denied,
        };
        async move { Ok(answer) }.boxed()
    }
}

/// Serves images of this folder until the runtime ends; the registry's name.
pub(crate) fn serve(listener: TcpListener, images: &Path) -> String {
    let stored = Registry::open(images).unwrap();
    let router = registry::router(stored, Arc::new(OneUser), TokenKey::new([7; 32]));
    let name = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    name
}
