//! Answers the registry's questions: who is this, and may they push or pull these images.
//!
//! Images belong to projects: `group/name`, and anything below it, is the project `group/name`.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use model::{ProjectId, Secret};
use registry::{Access, AccessError, Action, Identity, Permission, RepositoryName};

use crate::App;
use crate::auth::{Caller, Level, Scope, TokenKey};
use crate::store::Project;

/// Rights on images, from tokens and roles.
pub(super) struct ImageAccess {
    app: Arc<App>,
}

impl ImageAccess {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The innermost project that the repository lies in.
    async fn project(&self, repository: &RepositoryName) -> Result<Option<Project>, AccessError> {
        for path in repository.ancestry() {
            if let Some(project) = self.app.store.project_by_path(path).await? {
                return Ok(Some(project));
            }
        }
        Ok(None)
    }

    async fn decide(
        &self,
        identity: Option<&Identity>,
        repository: &RepositoryName,
        action: Action,
    ) -> Result<Permission, AccessError> {
        let key = identity.and_then(|identity| TokenKey::parse(identity.as_str()));
        let caller = match key {
            Some(key) => Caller::of_key(&self.app.store, &key).await?,
            None => None,
        };
        let Some(caller) = caller else {
            return Ok(Permission::Denied);
        };
        let (level, scope) = match action {
            Action::Pull => (Level::Reporter, Scope::ReadRegistry),
            Action::Push => (Level::Developer, Scope::WriteRegistry),
            Action::Delete => (Level::Maintainer, Scope::WriteRegistry),
        };
        Ok(match self.project(repository).await? {
            Some(project) if caller.may(&project.path, level, scope) => Permission::Granted,
            Some(project) if caller.may(&project.path, Level::Reporter, Scope::ReadRegistry) => {
                Permission::Denied
            }
            _ => Permission::UnknownRepository,
        })
    }
}

/// Removes the images of a project. It has to be there still: cut off, its removal is begun anew.
pub(super) async fn remove_images(app: &Arc<App>, project: ProjectId) -> Result<(), AccessError> {
    let access = ImageAccess::new(Arc::clone(app));
    for name in app.images.names().await? {
        let owner = access.project(&name).await?;
        if owner.is_some_and(|owner| owner.id == project) {
            app.images.remove(&name).await?;
        }
    }
    Ok(())
}

impl Access for ImageAccess {
    fn authenticate<'a>(
        &'a self,
        _user: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Identity>, AccessError>> {
        async move {
            let caller = Caller::of_token(&self.app.store, password).await?;
            Ok(caller.map(|_| Identity::new(TokenKey::of(password).text())))
        }
        .boxed()
    }

    fn permitted<'a>(
        &'a self,
        identity: Option<&'a Identity>,
        repository: &'a RepositoryName,
        action: Action,
    ) -> BoxFuture<'a, Result<Permission, AccessError>> {
        self.decide(identity, repository, action).boxed()
    }
}
