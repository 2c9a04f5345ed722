//! Users, their tokens and their rights.

use model::{Secret, UserId};

use super::error::is_taken;
use super::{During, Store, StoreError, now};

/// A person or a program.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct User {
    #[sqlx(try_from = "i64")]
    pub id: UserId,
    pub name: String,
    pub admin: bool,
}

/// A user with a right on a group or project and everything below.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Member {
    #[sqlx(flatten)]
    pub user: User,
    pub path: String,
    /// GitLab's access level.
    pub level: i64,
}

/// A token to be made.
pub(crate) struct NewToken<'a> {
    pub user: UserId,
    /// `personal` or `session`.
    pub kind: &'static str,
    pub name: &'a str,
    /// Separated by spaces.
    pub scopes: &'a str,
    pub expires_at: Option<i64>,
    pub text: &'a Secret,
}

/// A token as it is listed; its text is known only to who made it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct TokenRow {
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub scopes: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

impl Store {
    /// Whether anybody could ever log in.
    pub(crate) async fn has_tokens(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tokens)")
            .fetch_one(&self.read)
            .await
            .during("looking for tokens")
    }

    /// Makes a user.
    pub(crate) async fn create_user(&self, name: &str, admin: bool) -> Result<UserId, StoreError> {
        let mut transaction = self.write.begin().await.during("making a user")?;
        let id = sqlx::query_scalar(
            "INSERT INTO users (name, admin, created_at) VALUES ($1, $2, $3) RETURNING id",
        )
        .bind(name)
        .bind(admin)
        .bind(now())
        .fetch_one(&mut *transaction)
        .await
        .map_err(|source| {
            if is_taken(&source) {
                StoreError::Taken {
                    what: format!("the user {name}"),
                }
            } else {
                StoreError::Database {
                    operation: "making a user",
                    source,
                }
            }
        })?;
        transaction.commit().await.during("making a user")?;
        Ok(UserId(id))
    }

    /// All users, by name.
    pub(crate) async fn users(&self) -> Result<Vec<User>, StoreError> {
        sqlx::query_as("SELECT id, name, admin FROM users ORDER BY name")
            .fetch_all(&self.read)
            .await
            .during("listing users")
    }

    /// Removes a user with all tokens and rights. Says whether there was one.
    pub(crate) async fn delete_user(&self, id: UserId) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM users WHERE id = $1")
            .bind(id.0)
            .execute(&self.write)
            .await
            .during("removing a user")
            .map(|done| done.rows_affected() == 1)
    }

    /// The user of this name.
    pub(crate) async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        sqlx::query_as("SELECT id, name, admin FROM users WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.read)
            .await
            .during("reading a user")
    }

    /// The user whose token has this fingerprint, with the token's scopes, while it is neither expired nor
    /// revoked.
    pub(crate) async fn user_of_token(
        &self,
        fingerprint: &str,
    ) -> Result<Option<(User, String)>, StoreError> {
        #[derive(sqlx::FromRow)]
        struct Row {
            #[sqlx(flatten)]
            user: User,
            scopes: String,
        }
        let row: Option<Row> = sqlx::query_as(
            "SELECT users.id, users.name, users.admin, tokens.scopes
             FROM tokens JOIN users ON users.id = tokens.user_id
             WHERE tokens.fingerprint = $1 AND tokens.revoked_at IS NULL
               AND (tokens.expires_at IS NULL OR tokens.expires_at > $2)",
        )
        .bind(fingerprint)
        .bind(now())
        .fetch_optional(&self.read)
        .await
        .during("looking up a token")?;
        Ok(row.map(|row| (row.user, row.scopes)))
    }

    /// Makes a token.
    pub(crate) async fn create_token(&self, token: NewToken<'_>) -> Result<TokenRow, StoreError> {
        let mut transaction = self.write.begin().await.during("making a token")?;
        let row = sqlx::query_as(
            "INSERT INTO tokens (user_id, kind, name, scopes, fingerprint, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             RETURNING id, user_id, name, scopes, created_at, expires_at, revoked_at",
        )
        .bind(token.user.0)
        .bind(token.kind)
        .bind(token.name)
        .bind(token.scopes)
        .bind(token.text.fingerprint())
        .bind(now())
        .bind(token.expires_at)
        .fetch_one(&mut *transaction)
        .await
        .during("making a token")?;
        transaction.commit().await.during("making a token")?;
        Ok(row)
    }

    /// A user's personal tokens, the newest first.
    pub(crate) async fn tokens(&self, user: UserId) -> Result<Vec<TokenRow>, StoreError> {
        sqlx::query_as(
            "SELECT id, user_id, name, scopes, created_at, expires_at, revoked_at
             FROM tokens WHERE user_id = $1 AND kind = 'personal' ORDER BY id DESC",
        )
        .bind(user.0)
        .fetch_all(&self.read)
        .await
        .during("listing tokens")
    }

    /// Revokes a token by its number, of this user or of whomever. Says whether there was one.
    pub(crate) async fn revoke_token(
        &self,
        user: Option<UserId>,
        id: i64,
    ) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE tokens SET revoked_at = $1
             WHERE id = $2 AND user_id = coalesce($3, user_id) AND revoked_at IS NULL",
        )
        .bind(now())
        .bind(id)
        .bind(user.map(|user| user.0))
        .execute(&self.write)
        .await
        .during("revoking a token")
        .map(|done| done.rows_affected() == 1)
    }

    /// Revokes the token with this text: logging out.
    pub(crate) async fn forget_token(&self, token: &Secret) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM tokens WHERE fingerprint = $1 AND kind = 'session'")
            .bind(token.fingerprint())
            .execute(&self.write)
            .await
            .during("ending a session")?;
        Ok(())
    }

    /// Gives a user a right on a group or project and on everything below; 0 takes it away.
    pub(crate) async fn set_member(
        &self,
        user: UserId,
        path: &str,
        level: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO members (user_id, path, level) VALUES ($1, $2, $3)
             ON CONFLICT (user_id, path) DO UPDATE SET level = excluded.level",
        )
        .bind(user.0)
        .bind(path)
        .bind(level)
        .execute(&self.write)
        .await
        .during("giving a right")?;
        Ok(())
    }

    /// Takes the right away that a user has on exactly this group or project. Says whether there was one.
    pub(crate) async fn delete_member(&self, user: UserId, path: &str) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM members WHERE user_id = $1 AND path = $2")
            .bind(user.0)
            .bind(path)
            .execute(&self.write)
            .await
            .during("taking a right away")
            .map(|done| done.rows_affected() == 1)
    }

    /// Who has rights on a group or project, by itself and by the groups around it; by name, then path.
    pub(crate) async fn members(&self, path: &str) -> Result<Vec<Member>, StoreError> {
        sqlx::query_as(
            "SELECT users.id, users.name, users.admin, members.path, members.level
             FROM members JOIN users ON users.id = members.user_id
             WHERE members.level > 0
               AND members.path || '/' = substr($1 || '/', 1, length(members.path) + 1)
             ORDER BY users.name, members.path",
        )
        .bind(path)
        .fetch_all(&self.read)
        .await
        .during("listing members")
    }

    /// Every right of a user, as path and level.
    pub(crate) async fn memberships(&self, user: UserId) -> Result<Vec<(String, i64)>, StoreError> {
        sqlx::query_as("SELECT path, level FROM members WHERE user_id = $1 AND level > 0")
            .bind(user.0)
            .fetch_all(&self.read)
            .await
            .during("reading a user's rights")
    }
}
