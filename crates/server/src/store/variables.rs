//! Variables of groups and projects; their values are encrypted.

use model::{GroupPath, ProjectId, Secret, Variable, VariableKind};

use super::error::is_taken;
use super::{During, Store, StoreError};

/// Whose variable it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A group, and so every project in it.
    Group(i64),
    /// One project.
    Project(ProjectId),
}

impl Owner {
    fn columns(self) -> (&'static str, i64) {
        match self {
            Self::Group(id) => ("group", id),
            Self::Project(id) => ("project", id.0),
        }
    }
}

/// A variable to be made or changed.
pub(crate) struct NewVariable {
    pub key: String,
    pub value: Secret,
    pub kind: VariableKind,
    pub protected: bool,
    pub masked: bool,
    pub raw: bool,
    /// The environments that see it; `*` is all.
    pub environment: String,
    pub description: Option<String>,
}

/// A variable as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct VariableRow {
    pub variable: Variable,
    pub protected: bool,
    pub environment: String,
    pub description: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    key: String,
    environment: String,
    value: Vec<u8>,
    kind: String,
    protected: bool,
    masked: bool,
    raw: bool,
    description: Option<String>,
}

const FILE: &str = "file";
const ENV_VAR: &str = "env_var";

impl Store {
    /// Makes a variable; its key must be free for its environment.
    pub(crate) async fn create_variable(
        &self,
        owner: Owner,
        new: &NewVariable,
    ) -> Result<(), StoreError> {
        let query = "INSERT INTO variables
            (owner, owner_id, key, environment, value, kind, protected, masked, raw, description)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        match self.write_variable(query, owner, new).await {
            Ok(_) => Ok(()),
            Err(source) if is_taken(&source) => Err(StoreError::Taken {
                what: format!("the variable {}", new.key),
            }),
            Err(source) => Err(StoreError::Database {
                operation: "making a variable",
                source,
            }),
        }
    }

    /// Changes a variable. Says whether there was one.
    pub(crate) async fn update_variable(
        &self,
        owner: Owner,
        new: &NewVariable,
    ) -> Result<bool, StoreError> {
        let query = "UPDATE variables
            SET value = $5, kind = $6, protected = $7, masked = $8, raw = $9, description = $10
            WHERE owner = $1 AND owner_id = $2 AND key = $3 AND environment = $4";
        self.write_variable(query, owner, new)
            .await
            .during("changing a variable")
            .map(|rows| rows == 1)
    }

    async fn write_variable(
        &self,
        query: &'static str,
        owner: Owner,
        new: &NewVariable,
    ) -> Result<u64, sqlx::Error> {
        let (owner, id) = owner.columns();
        let kind = match new.kind {
            VariableKind::EnvVar => ENV_VAR,
            VariableKind::File => FILE,
        };
        sqlx::query(query)
            .bind(owner)
            .bind(id)
            .bind(&new.key)
            .bind(&new.environment)
            .bind(self.vault.seal(&new.value))
            .bind(kind)
            .bind(new.protected)
            .bind(new.masked)
            .bind(new.raw)
            .bind(&new.description)
            .execute(&self.write)
            .await
            .map(|done| done.rows_affected())
    }

    /// Removes a variable. Says whether there was one.
    pub(crate) async fn delete_variable(
        &self,
        owner: Owner,
        key: &str,
        environment: &str,
    ) -> Result<(), StoreError> {
        let (owner, id) = owner.columns();
        sqlx::query("DELETE FROM variables WHERE owner = $1 AND owner_id = $2 AND key = $3 AND environment = $4")
            .bind(owner)
            .bind(id)
            .bind(key)
            .bind(environment)
            .execute(&self.write)
            .await
            .during("removing a variable")
            .map(drop)
    }

    /// The variables of one group or project, by key.
    pub(crate) async fn variables(&self, owner: Owner) -> Result<Vec<VariableRow>, StoreError> {
        let (owner, id) = owner.columns();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT key, environment, value, kind, protected, masked, raw, description
             FROM variables WHERE owner = $1 AND owner_id = $2 ORDER BY key, environment",
        )
        .bind(owner)
        .bind(id)
        .fetch_all(&self.read)
        .await
        .during("reading variables")?;
        rows.into_iter().map(|row| self.variable(row)).collect()
    }

    /// The variables of a group and the groups around it, the outermost first, so that later ones
    /// win.
    pub(crate) async fn group_variables(
        &self,
        group: &GroupPath,
    ) -> Result<Vec<VariableRow>, StoreError> {
        let mut all = Vec::new();
        let ancestry: Vec<&str> = group.ancestry().collect();
        for path in ancestry.into_iter().rev() {
            if let Some(group) = self.group_by_path(path).await? {
                all.extend(self.variables(Owner::Group(group.id)).await?);
            }
        }
        Ok(all)
    }

    fn variable(&self, row: Row) -> Result<VariableRow, StoreError> {
        let value = self
            .vault
            .unseal(&row.value, &format!("the variable {}", row.key))?;
        Ok(VariableRow {
            variable: Variable {
                key: row.key,
                value,
                kind: if row.kind == FILE {
                    VariableKind::File
                } else {
                    VariableKind::EnvVar
                },
                masked: row.masked,
                raw: row.raw,
                public: false,
            },
            protected: row.protected,
            environment: row.environment,
            description: row.description,
        })
    }
}
