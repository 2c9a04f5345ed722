//! `lotse variable`.

mod import;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::GroupPath;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::client::{Session, Variable, Where, ask_for_secret, read_input, typed, without_newline};
use crate::output::{Cell, Failure, Screen, Table, Tone};
use import::Import;

/// Variables that jobs see, of a project or of a group with all its projects
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// The variables of this group instead of a project's
    #[arg(
        long,
        short,
        global = true,
        value_name = "GROUP",
        conflicts_with = "project"
    )]
    group: Option<GroupPath>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the variables, without their values
    List {
        /// Print JSON, values included
        #[arg(long)]
        json: bool,
    },
    /// Set a variable; what is not given stays as it is
    ///
    /// A secret does not belong on a command line, where other users of the machine can see it:
    /// leave VALUE out to be asked for it, or pipe it in with `-`.
    Set(Set),
    /// Set all variables of a list on standard input, as GitLab's API prints it
    ///
    /// The list is what `GET /projects/:id/variables` and `GET /groups/:id/variables` of a GitLab
    /// answer, and what `lotse variable list --json` prints. Variables that are not in it stay.
    ///
    /// Example:
    ///   curl --header @token "https://gitlab.example.org/api/v4/groups/GROUP/variables?per_page=100" \
    ///     | lotse variable import --group GROUP
    #[command(verbatim_doc_comment)]
    Import(Import),
    /// Print a variable's value
    Get {
        /// Its name
        key: String,
        /// The one for this environment, where there are several
        #[arg(long, value_name = "ENVIRONMENT")]
        scope: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a variable
    Remove {
        /// Its name
        key: String,
        /// The one for this environment, where there are several
        #[arg(long, value_name = "ENVIRONMENT")]
        scope: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Set {
    /// Its name: letters, digits and `_`
    key: String,
    /// Its value; may refer to others, as in `$CI_COMMIT_TAG`; `-` reads standard input
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,
    /// Hide the value in logs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    masked: Option<bool>,
    /// Only for protected branches and tags
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    protected: Option<bool>,
    /// Leave `$` in the value alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    raw: Option<bool>,
    /// The job gets the path of a file that holds the value
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    file: Option<bool>,
    /// Only for jobs of this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    scope: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Whose variables.
struct Owner {
    kind: &'static str,
    path: String,
}

/// Runs `lotse variable …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    let owner = Owner::find(&session, arguments.group)?;
    match arguments.command {
        Command::List { json } => list(&session, &owner, json).await?,
        Command::Set(set) => set.run(&session, &owner).await?,
        Command::Import(import) => import.run(&session, &owner).await?,
        Command::Get { key, scope, json } => {
            get(&session, &owner, &key, scope.as_deref(), json).await?;
        }
        Command::Remove { key, scope } => {
            remove(&session, &owner, &key, scope.as_deref()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Owner {
    fn find(session: &Session, group: Option<GroupPath>) -> Result<Self, Failure> {
        let (kind, path) = match group {
            Some(group) => ("groups", group.as_str().to_owned()),
            None => ("projects", session.project()?.as_str().to_owned()),
        };
        Ok(Self { kind, path })
    }

    fn all(&self) -> [&str; 3] {
        [self.kind, &self.path, "variables"]
    }

    fn one<'a>(&'a self, key: &'a str) -> [&'a str; 4] {
        [self.kind, &self.path, "variables", key]
    }
}

async fn list(session: &Session, owner: &Owner, json: bool) -> Result<(), Failure> {
    let variables = session.client.list(&owner.all(), &[], usize::MAX).await?;
    if json {
        return session.screen.json(&variables);
    }
    let mut table = Table::new(["KEY", "PROPERTIES", "ENVIRONMENT", "DESCRIPTION"]);
    for variable in &variables {
        let variable: Variable = typed(&session.client, variable)?;
        table.row([
            Cell::new(Tone::Strong, variable.key.clone()),
            properties(&variable).into(),
            variable.environment_scope.into(),
            variable.description.unwrap_or_default().into(),
        ]);
    }
    session.screen.table(&table)
}

fn properties(variable: &Variable) -> String {
    let all = [
        ("file", variable.variable_type == "file"),
        ("masked", variable.masked),
        ("protected", variable.protected),
        ("raw", variable.raw),
    ];
    let set: Vec<_> = all
        .iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| *name)
        .collect();
    set.join(",")
}

async fn get(
    session: &Session,
    owner: &Owner,
    key: &str,
    scope: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let filter: Vec<_> = scope.map(filter).into_iter().collect();
    let found = session.client.get(&owner.one(key), &filter).await?;
    if json {
        return session.screen.json(&found);
    }
    let variable: Variable = typed(&session.client, &found)?;
    let value = variable
        .value
        .ok_or_else(|| Failure::user(format!("the value of {key} is hidden")))?;
    session.screen.line(value)
}

/// Which of several variables of one key is meant, as GitLab's API asks for it.
fn filter(scope: &str) -> (&'static str, String) {
    ("filter[environment_scope]", scope.to_owned())
}

async fn remove(
    session: &Session,
    owner: &Owner,
    key: &str,
    scope: Option<&str>,
) -> Result<(), Failure> {
    let filter: Vec<_> = scope.map(filter).into_iter().collect();
    let request = session.client.request(Method::DELETE, &owner.one(key));
    session.client.send(request.query(&filter)).await?;
    session
        .screen
        .line(format!("{key} was removed from {}", owner.path))
}

impl Set {
    async fn run(self, session: &Session, owner: &Owner) -> Result<(), Failure> {
        let value = self.find_value().await?;
        let body = self.body(&value);
        let verb = match session.client.put(&owner.one(&self.key), &body).await? {
            Some(_) => "changed",
            None => {
                session.client.post(&owner.all(), &body).await?;
                "set"
            }
        };
        session
            .screen
            .line(format!("{} was {verb} for {}", self.key, owner.path))
    }

    /// A file's content, or a text of several lines such as a key, is taken as it is; of a single
    /// line, the newline that the shell puts after it does not belong to the value.
    async fn find_value(&self) -> Result<String, Failure> {
        let piped = || {
            let text = read_input()?;
            let keep = self.file == Some(true) || text.lines().nth(1).is_some();
            Ok(if keep { text } else { without_newline(text) })
        };
        match self.value.as_deref() {
            Some("-") => piped(),
            Some(value) => Ok(value.to_owned()),
            None if !std::io::stdin().is_terminal() => piped(),
            None => {
                let secret = ask_for_secret(&format!("value of {}", self.key)).await?;
                Ok(secret.expose().to_owned())
            }
        }
    }

    /// Only what was given, so that the rest of an existing variable stays.
    fn body(&self, value: &str) -> Value {
        let kind = |file: bool| if file { "file" } else { "env_var" };
        let given = [
            ("masked", self.masked.map(Value::from)),
            ("protected", self.protected.map(Value::from)),
            ("raw", self.raw.map(Value::from)),
            ("variable_type", self.file.map(|file| kind(file).into())),
            ("environment_scope", self.scope.clone().map(Value::from)),
            ("description", self.description.clone().map(Value::from)),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let mut body: Map<_, _> = given.collect();
        body.insert("key".to_owned(), json!(self.key));
        body.insert("value".to_owned(), json!(value));
        Value::Object(body)
    }
}
