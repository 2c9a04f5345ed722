//! The variables that a trigger job hands on (GitLab, `trigger:forward`): in the pipeline below they count
//! as given by whoever started it, so they win over its file's.

use std::borrow::Cow;
use std::collections::HashMap;

use ci::{Job, Trigger};
use model::{Secret, Variable, VariableKind};

use super::wanted::Asking;
use crate::layers::Stored;
use crate::predefined::{self, TriggerFacts};
use crate::store::StoreError;

/// The job's variables of the file, and those of dotenv reports and given with its pipeline, as far as it asks for them. Their
/// values are expanded here, with protected variables only when `trusted`.
pub(super) async fn variables(
    asking: &Asking<'_>,
    trusted: bool,
) -> Result<Vec<Variable>, StoreError> {
    let stored = Stored::new(asking.app, &asking.project, &asking.pipeline)?;
    let given = stored.given()?;
    let dotenv = asking.dotenv().await?;
    let handed_on = handed_on(&asking.node, &asking.trigger, [&dotenv, &given]);
    let of_trigger = predefined::of_trigger(&TriggerFacts {
        addresses: &asking.app.addresses,
        project: &asking.project.path,
        pipeline: stored.numbers(),
        stage: &asking.job.stage,
        job: &asking.node,
    });
    let environment = (asking.node.environment.as_ref()).map(|found| found.name.as_str());
    let protected = trusted && stored.is_protected();
    let layers = [
        stored.predefined().await?,
        of_trigger,
        asking.node.variables.clone(),
        dotenv,
        stored.settings(environment, protected).await?,
        given,
    ];
    let known = ci::merge(layers.iter().flatten());
    Ok(expanded(&handed_on, &known))
}

/// What a trigger job hands on, not expanded: its variables of the file, and then of the pipeline.
pub(crate) fn handed_on(
    job: &Job,
    trigger: &Trigger,
    of_pipeline: [&Vec<Variable>; 2],
) -> Vec<Variable> {
    let of_file = (trigger.forward_yaml_variables).then_some(&job.variables);
    let of_pipeline = (trigger.forward_pipeline_variables).then_some(of_pipeline);
    let lists = of_file.into_iter().chain(of_pipeline.into_iter().flatten());
    ci::merge(lists.flatten())
}

/// What is handed on with its values expanded by all that the job knows. What uses a masked value is
/// masked itself.
pub(crate) fn expanded(handed_on: &[Variable], known: &[Variable]) -> Vec<Variable> {
    let values = ci::expand(known);
    let by_name: HashMap<&str, &Variable> = (values.iter())
        .map(|variable| (variable.key.as_str(), variable))
        .collect();
    let one = |variable: &Variable| {
        if variable.raw {
            return variable.clone();
        }
        let mut masked = variable.masked;
        let value = ci::expand_text(variable.value.expose(), |name| {
            let found = by_name.get(name)?;
            let is_text = found.kind == VariableKind::EnvVar && name != variable.key;
            masked |= is_text && found.masked;
            is_text.then(|| Cow::Borrowed(found.value.expose()))
        });
        Variable {
            value: Secret::new(value),
            masked,
            public: variable.public && !masked,
            ..variable.clone()
        }
    };
    handed_on.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_expanded_and_secrets_stay_masked() {
        let variable = |key: &str, value: &str| Variable::public(key, value);
        let file = Variable {
            kind: VariableKind::File,
            ..variable("FILE", "text")
        };
        let known = [
            variable("STAGE", "deploy"),
            variable("BOTH", "$STAGE-$TOKEN"),
            Variable::masked("TOKEN", Secret::new("s3cr3t-value")),
            variable("SELF", "set in the project"),
            file,
        ];
        for (value, expanded_as, masked) in [
            ("in $STAGE", "in deploy", false),
            ("${TOKEN}!", "s3cr3t-value!", true),
            ("$UNKNOWN", "$UNKNOWN", false),
            ("$FILE", "$FILE", false),
            ("$SELF", "$SELF", false),
        ] {
            let found = &expanded(&[variable("SELF", value)], &known)[0];
            assert_eq!(found.value.expose(), expanded_as, "{value}");
            assert_eq!((found.masked, found.public), (masked, !masked), "{value}");
        }
        let raw = variable("RAW", "$STAGE").raw();
        assert_eq!(expanded(std::slice::from_ref(&raw), &known), [raw]);
        let through = &expanded(&[variable("X", "$BOTH")], &known)[0];
        assert_eq!(through.value.expose(), "deploy-s3cr3t-value");
    }
}
