//! `lotse variable import`: the variables that another server's API has printed.
//!
//! The list is GitLab's (`GET /projects/:id/variables`, `GET /groups/:id/variables`), which is also what
//! `lotse variable list --json` prints. All of it is read before anything is set; what one server refuses
//! does not keep the rest back.

use clap::Args;
use serde_json::{Value, json};

use super::Owner;
use crate::client::{Session, Variable, read_input};
use crate::output::Failure;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// Only say what would be set
    #[arg(long)]
    dry_run: bool,
}

/// What became of the variables.
#[derive(Default)]
struct Count {
    set: usize,
    changed: usize,
    missing: Vec<String>,
}

impl Import {
    pub(super) async fn run(self, session: &Session, owner: &Owner) -> Result<(), Failure> {
        let variables = read(&read_input()?)?;
        // an owner that is not there is said once, not for each variable
        session.client.list(&owner.all(), &[], 1).await?;
        let mut count = Count::default();
        for variable in &variables {
            let taken = match &variable.value {
                None => Err("its value is hidden".to_owned()),
                Some(_) if self.dry_run => {
                    let line = format!("{} would be set", full_name(variable));
                    session.screen.line(line)?;
                    continue;
                }
                Some(value) => take(session, owner, variable, value)
                    .await
                    .map_err(|failure| failure.to_string()),
            };
            match taken {
                Ok(Taken::New) => count.set += 1,
                Ok(Taken::Changed) => count.changed += 1,
                Err(reason) => count
                    .missing
                    .push(format!("{}: {reason}", full_name(variable))),
            }
        }
        count.tell(session, owner, self.dry_run)
    }
}

enum Taken {
    New,
    Changed,
}

async fn take(
    session: &Session,
    owner: &Owner,
    variable: &Variable,
    value: &str,
) -> Result<Taken, Failure> {
    let body = body(variable, value);
    let changed = session.client.put(&owner.one(&variable.key), &body).await?;
    if changed.is_some() {
        return Ok(Taken::Changed);
    }
    session.client.post(&owner.all(), &body).await?;
    Ok(Taken::New)
}

impl Count {
    fn tell(self, session: &Session, owner: &Owner, dry_run: bool) -> Result<(), Failure> {
        if !dry_run {
            let Self { set, changed, .. } = &self;
            let path = &owner.path;
            let line = format!("{path}: {set} variables were set, {changed} were changed");
            session.screen.line(line)?;
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        let missing = self.missing.join("\n  ");
        Err(
            Failure::user(format!("these variables were not taken over:\n  {missing}"))
                .hint("set them with `lotse variable set`"),
        )
    }
}

/// A list as the API prints it.
fn read(text: &str) -> Result<Vec<Variable>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        // the text holds secrets: of what is wrong only the place is said
        let (line, column) = (error.line(), error.column());
        Failure::user(format!(
            "standard input is no list of variables (line {line}, column {column})"
        ))
        .hint("pipe in what `GET …/variables?per_page=100` of GitLab's API or `lotse variable list --json` prints")
    })
}

fn full_name(variable: &Variable) -> String {
    match variable.environment_scope.as_str() {
        "" | "*" => variable.key.clone(),
        scope => format!("{} (environment {scope})", variable.key),
    }
}

fn body(variable: &Variable, value: &str) -> Value {
    let kind = match variable.variable_type.as_str() {
        "" => "env_var",
        kind => kind,
    };
    let scope = match variable.environment_scope.as_str() {
        "" => "*",
        scope => scope,
    };
    json!({
        "key": variable.key,
        "value": value,
        "variable_type": kind,
        "protected": variable.protected,
        "masked": variable.masked,
        "raw": variable.raw,
        "environment_scope": scope,
        "description": variable.description,
    })
}
