//! Who is asking, and what they may do.
//!
//! Rights are GitLab's levels on a group or project and everything below it. A token narrows them by
//! its scopes. A job acts with a token of its own that lives as long as the job.

use model::{ProjectPath, Secret};

use crate::store::{JobRow, Project, Store, StoreError, User};

/// What someone may do with a project (GitLab's access levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing: the project is invisible.
    None = 0,
    /// Look, clone, pull images.
    Reporter = 20,
    /// Push, run, cancel and retry.
    Developer = 30,
    /// Change variables; make and remove projects.
    Maintainer = 40,
}

/// What a personal token may be used for (GitLab's scopes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The API, reading only.
    ReadApi,
    /// The API.
    Api,
    /// Clone and fetch.
    ReadRepository,
    /// Push.
    WriteRepository,
    /// Pull images.
    ReadRegistry,
    /// Push images.
    WriteRegistry,
}

/// All scopes that a token can be made with.
pub(crate) const SCOPES: [(&str, Scope); 6] = [
    ("api", Scope::Api),
    ("read_api", Scope::ReadApi),
    ("read_repository", Scope::ReadRepository),
    ("write_repository", Scope::WriteRepository),
    ("read_registry", Scope::ReadRegistry),
    ("write_registry", Scope::WriteRegistry),
];

/// Whoever sent a request with a token that is good.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A person or program.
    User(UserCaller),
    /// A job at work.
    Job(JobCaller),
}

/// A user with the token's scopes and all rights.
#[derive(Debug, Clone)]
pub(crate) struct UserCaller {
    pub user: User,
    scopes: Vec<Scope>,
    memberships: Vec<(String, i64)>,
}

/// A job with its project.
#[derive(Debug, Clone)]
pub(crate) struct JobCaller {
    pub job: JobRow,
    pub project: Project,
}

impl Caller {
    /// Who holds this token, when it is good.
    pub(crate) async fn of_token(
        store: &Store,
        token: &Secret,
    ) -> Result<Option<Self>, StoreError> {
        Self::of_key(store, &TokenKey::of(token)).await
    }

    /// Who holds the token with this key, when it is good.
    pub(crate) async fn of_key(store: &Store, key: &TokenKey) -> Result<Option<Self>, StoreError> {
        if key.is_job {
            return Self::of_job(store, &key.fingerprint).await;
        }
        let Some((user, scopes)) = store.user_of_token(&key.fingerprint).await? else {
            return Ok(None);
        };
        let memberships = store.memberships(user.id).await?;
        Ok(Some(Self::User(UserCaller {
            user,
            scopes: parse_scopes(&scopes),
            memberships,
        })))
    }

    async fn of_job(store: &Store, fingerprint: &str) -> Result<Option<Self>, StoreError> {
        let Some(job) = store.job_of_token(fingerprint).await? else {
            return Ok(None);
        };
        if !is_at_work(&job) {
            return Ok(None);
        }
        let project = store.project(job.project).await?;
        Ok(project.map(|project| Self::Job(JobCaller { job, project })))
    }

    /// A name for logs.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::User(caller) => caller.user.name.clone(),
            Self::Job(caller) => format!("job {}", caller.job.id),
        }
    }

    /// Whether the caller may do what needs this level on this project, by this scope.
    pub(crate) fn may(&self, project: &ProjectPath, level: Level, scope: Scope) -> bool {
        match self {
            Self::User(caller) => {
                caller.has_scope(scope) && caller.level(project.as_str()) >= level
            }
            Self::Job(caller) => caller.may(project, scope),
        }
    }

    /// The user, where only a person's token will do.
    pub(crate) fn user(&self) -> Option<&UserCaller> {
        match self {
            Self::User(caller) => Some(caller),
            Self::Job(_) => None,
        }
    }
}

/// What the user of this name may do with a project; nothing when there is none of this name.
pub(crate) async fn level_of(
    store: &Store,
    user: &str,
    project: &ProjectPath,
) -> Result<Level, StoreError> {
    let user = UserCaller::of_name(store, user).await?;
    Ok(user.map_or(Level::None, |user| user.level(project.as_str())))
}

/// With whose rights the files of other projects are read while a pipeline is made.
pub(crate) enum Reader {
    /// Those of whoever started it.
    User(UserCaller),
    /// Those of the project's own jobs, where nobody is known who started it: a push that is made good
    /// after a crash.
    Project(ProjectPath),
}

impl Reader {
    /// The rights of the user of this name.
    pub(crate) async fn of(
        store: &Store,
        name: &str,
        project: &ProjectPath,
    ) -> Result<Self, StoreError> {
        let user = UserCaller::of_name(store, name).await?;
        Ok(user.map_or_else(|| Self::Project(project.clone()), Self::User))
    }

    /// Whether this project's files may be read.
    pub(crate) fn may_read(&self, project: &ProjectPath) -> bool {
        match self {
            Self::User(caller) => caller.level(project.as_str()) >= Level::Reporter,
            Self::Project(own) => root(own.as_str()) == root(project.as_str()),
        }
    }
}

/// What finds a token again without being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenKey {
    is_job: bool,
    fingerprint: String,
}

impl TokenKey {
    /// The key of a token.
    pub(crate) fn of(token: &Secret) -> Self {
        Self {
            is_job: token.expose().starts_with(JOB_TOKEN_PREFIX),
            fingerprint: token.fingerprint(),
        }
    }

    /// A text that [`TokenKey::parse`] reads.
    pub(crate) fn text(&self) -> String {
        let kind = if self.is_job { "job" } else { "user" };
        format!("{kind}:{}", self.fingerprint)
    }

    /// Reads what [`TokenKey::text`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, fingerprint) = text.split_once(':')?;
        Some(Self {
            is_job: kind == "job",
            fingerprint: fingerprint.to_owned(),
        })
    }
}

/// What a job's token starts with; the official runner knows to hide this prefix in logs.
pub(crate) const JOB_TOKEN_PREFIX: &str = "glcbt-";

/// Whether a job's token still opens anything.
pub(crate) fn is_at_work(job: &JobRow) -> bool {
    use pipeline::Status::{Canceling, Running};
    matches!(job.status, Running | Canceling)
}

impl UserCaller {
    /// The user of this name with all rights and no scope; nothing when there is none.
    async fn of_name(store: &Store, name: &str) -> Result<Option<Self>, StoreError> {
        let Some(user) = store.user_by_name(name).await? else {
            return Ok(None);
        };
        let memberships = store.memberships(user.id).await?;
        Ok(Some(Self {
            user,
            scopes: Vec::new(),
            memberships,
        }))
    }

    /// The level on a group or project.
    pub(crate) fn level(&self, path: &str) -> Level {
        if self.user.admin {
            return Level::Maintainer;
        }
        let highest = self
            .memberships
            .iter()
            .filter(|(above, _)| covers(above, path))
            .map(|(_, level)| *level)
            .max();
        match highest.unwrap_or(0) {
            40.. => Level::Maintainer,
            30.. => Level::Developer,
            20.. => Level::Reporter,
            _ => Level::None,
        }
    }

    /// Whether the token was made for this.
    pub(crate) fn has_scope(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|&scope| implies(scope, wanted))
    }
}

impl JobCaller {
    /// A job reads what belongs to its top-level group, as the images of a stack come from several
    /// of its projects; it writes images of its own project only.
    fn may(&self, project: &ProjectPath, scope: Scope) -> bool {
        let own = self.project.path == *project;
        let same_group = root(project.as_str()) == root(self.project.path.as_str());
        match scope {
            Scope::ReadRepository | Scope::ReadRegistry => same_group,
            Scope::WriteRegistry | Scope::ReadApi => own,
            Scope::Api | Scope::WriteRepository => false,
        }
    }
}

fn parse_scopes(text: &str) -> Vec<Scope> {
    text.split_whitespace()
        .filter_map(|name| SCOPES.iter().find(|(known, _)| *known == name))
        .map(|(_, scope)| *scope)
        .collect()
}

/// `api` holds everything; writing holds reading.
fn implies(held: Scope, wanted: Scope) -> bool {
    held == wanted
        || held == Scope::Api
        || (held == Scope::WriteRepository && wanted == Scope::ReadRepository)
        || (held == Scope::WriteRegistry && wanted == Scope::ReadRegistry)
}

fn covers(above: &str, path: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn root(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(path: &str, level: i64, scopes: &str) -> Caller {
        Caller::User(UserCaller {
            user: User {
                id: model::UserId(1),
                name: "someone".into(),
                admin: false,
            },
            scopes: parse_scopes(scopes),
            memberships: vec![(path.into(), level)],
        })
    }

    #[test]
    fn a_right_holds_for_everything_below() {
        let caller = member("invenio", 30, "api");
        let may = |path: &str, level| caller.may(&path.parse().unwrap(), level, Scope::Api);
        assert!(may("invenio/nginx", Level::Developer));
        assert!(may("invenio/a/b", Level::Reporter));
        assert!(!may("invenio/nginx", Level::Maintainer));
        assert!(!may("invenio2/nginx", Level::Reporter));
    }

    #[test]
    fn files_are_read_with_the_rights_of_whoever_started_it_or_of_the_project() {
        let Caller::User(user) = member("parts", 20, "") else {
            panic!("a member is a user")
        };
        let nobody = Reader::Project("site/web".parse().unwrap());
        for (reader, path, expected) in [
            (&Reader::User(user), "parts/lib", true),
            (&nobody, "site/a/b", true),
            (&nobody, "parts/lib", false),
            (&nobody, "site2/web", false),
        ] {
            assert_eq!(reader.may_read(&path.parse().unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn a_token_opens_no_more_than_its_scopes() {
        let path: ProjectPath = "invenio/nginx".parse().unwrap();
        let reader = member("invenio", 40, "read_repository");
        assert!(reader.may(&path, Level::Reporter, Scope::ReadRepository));
        assert!(!reader.may(&path, Level::Developer, Scope::WriteRepository));
        assert!(!reader.may(&path, Level::Reporter, Scope::Api));
        let writer = member("invenio", 40, "write_registry");
        assert!(writer.may(&path, Level::Reporter, Scope::ReadRegistry));
    }
}
