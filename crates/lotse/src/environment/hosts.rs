//! The hosts of an environment, each with its engine and hands.

use std::collections::BTreeMap;
use std::process::ExitCode;

use apply::Owner;
use apply::hands::{Hands, HandsOptions};
use apply::reach::{Reach, ReachError};
use deploy::{HostName, Observed, Problem, Problems, Unreached};
use docker::Engine;
use futures_util::future::join_all;

use super::{Scope, draft, refusal};
use crate::disk::Disk;
use crate::output::Failure;

/// A host that was reached.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) hands: Hands,
}

/// All hosts of an environment, in the order of `lotse.toml`.
#[derive(Debug)]
pub(crate) struct Hosts(pub(crate) Vec<(HostName, Result<Host, Unreached>)>);

/// Connects to all hosts at once.
///
/// # Errors
/// When it cannot be told whose things there are meant.
pub(crate) async fn connect(scope: &Scope) -> Result<Hosts, Failure> {
    let owner = &owner(scope)?;
    let reach = &crate::hosts::reach(None);
    let options = &HandsOptions {
        keys: Some(crate::hosts::keyring()),
        ..HandsOptions::default()
    };
    let mut names: Vec<&HostName> = Vec::new();
    for name in &scope.environment.hosts {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let connecting = names.into_iter().map(|name| async move {
        let host = connect_one(reach, owner, options, name).await;
        (name.clone(), host)
    });
    Ok(Hosts(join_all(connecting).await))
}

/// The compose project's name does not depend on variables, so it is known without them.
fn owner(scope: &Scope) -> Result<Owner, Failure> {
    let request = draft::bare_request(scope);
    let project = compose::project_name(&request, &Disk).map_err(|said| {
        eprintln!("{}", said.trim_end());
        Failure::user(format!(
            "`compose` of the environment `{}` has mistakes, see above",
            scope.name
        ))
    })?;
    Ok(Owner {
        project,
        environment: scope.name.clone(),
    })
}

async fn connect_one(
    reach: &Reach,
    owner: &Owner,
    options: &HandsOptions,
    name: &HostName,
) -> Result<Host, Unreached> {
    let engine = reach.connect(name).await;
    let engine = engine.map_err(|error| Unreached(words(&error)))?;
    let hands = Hands::new(engine.clone(), owner.clone(), options.clone());
    Ok(Host { engine, hands })
}

/// Why there is no way to a host, and the mend.
fn words(error: &ReachError) -> String {
    match error.hint() {
        Some(hint) => format!("{}\nhint: {hint}", error.whole()),
        None => error.whole(),
    }
}

impl Hosts {
    /// All of them, when all were reached.
    ///
    /// # Errors
    /// Those that were not.
    pub(crate) fn all(&self) -> Result<BTreeMap<HostName, Hands>, Failure> {
        let mut hands = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, host) in &self.0 {
            match host {
                Ok(host) => {
                    hands.insert(name.clone(), host.hands.clone());
                }
                Err(why) => problems.push(Problem::Unreachable {
                    host: name.clone(),
                    why: why.to_string(),
                }),
            }
        }
        match problems.is_empty() {
            true => Ok(hands),
            false => Err(refusal(&Problems(problems))),
        }
    }

    /// Those that were reached.
    pub(crate) fn reached(&self) -> impl Iterator<Item = (&HostName, &Host)> {
        let hosts = self.0.iter();
        hosts.filter_map(|(name, host)| Some((name, host.as_ref().ok()?)))
    }

    /// Looks at all of them at once. Changes nothing.
    pub(crate) async fn observe(&self) -> Observed {
        let looking = self.0.iter().map(|(name, host)| async move {
            let seen = match host {
                Ok(host) => host.hands.observe().await,
                Err(why) => Err(why.clone()),
            };
            (name.clone(), seen)
        });
        join_all(looking).await.into_iter().collect()
    }
}

/// Says which hosts could not be looked at. The exit code is that of what was asked for.
pub(crate) fn warn_unreached(observed: &Observed) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (name, seen) in observed {
        if let Err(why) = seen {
            eprintln!("error: {name} cannot be reached: {why}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
