//! A child pipeline that a trigger job asks for: what whoever compiles it must know.

use std::collections::BTreeMap;

use ci::{Fetched, Location, Source, Trigger, TriggerInclude, TriggerTarget};
use model::Variable;

use super::desk::State;
use super::running::{Pipeline, upstream};
use super::{Place, Subject};
use crate::downstream::file::ChildFile;
use crate::downstream::{LEVELS_OF_CHILDREN, PIPELINES_OF_ONE, Refusal, forward};
use crate::http::chain;
use crate::predefined::{self, TriggerFacts};
use crate::push::CONFIG_LIMIT;

/// A child pipeline that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildWish {
    /// The trigger job.
    pub place: Place,
    /// Which attempt of it.
    pub(super) attempt: i64,
    /// What diagnostics call the text.
    pub name: String,
    /// The text to compile.
    pub text: String,
    /// Files that it includes and that are in no repository.
    pub files: BTreeMap<Location, Fetched>,
    /// The predefined variables that its rules see.
    pub predefined: Vec<Variable>,
    /// What the trigger job hands on: variables as given with the pipeline.
    pub variables: Vec<Variable>,
}

/// What a pipeline below is about.
pub(super) fn subject_below(subject: &Subject) -> Subject {
    Subject {
        source: Source::ParentPipeline,
        ..subject.clone()
    }
}

/// What this trigger job asks for.
pub(super) fn of(state: &State, place: Place) -> Result<ChildWish, Refusal> {
    let pipeline = &state.pipelines[place.pipeline];
    let job = &pipeline.graph.jobs[place.job];
    let Some(trigger) = &job.trigger else {
        return Err(Refusal::cannot_be_made("this is no trigger job"));
    };
    let TriggerTarget::Child(includes) = &trigger.target else {
        let message = "pipelines of other projects are started by a server alone";
        return Err(Refusal::cannot_be_made(message));
    };
    if state.levels(place.pipeline) >= LEVELS_OF_CHILDREN {
        return Err(Refusal::new(
            "reached_max_descendant_pipelines_depth",
            format!("children of pipelines go {LEVELS_OF_CHILDREN} levels deep"),
        ));
    }
    if i64::try_from(state.pipelines.len()).is_ok_and(|count| count >= PIPELINES_OF_ONE) {
        return Err(Refusal::new(
            "reached_max_pipeline_hierarchy_size",
            format!("one pipeline may lead to {PIPELINES_OF_ONE}"),
        ));
    }
    let file = file(pipeline, includes).map_err(Refusal::cannot_be_made)?;
    let attempt = pipeline.attempts[place.job].id;
    let subject = subject_below(&pipeline.subject);
    Ok(ChildWish {
        place,
        attempt,
        name: format!("`trigger` of {}", job.name),
        text: file.text(),
        files: file.files,
        predefined: subject.variables_below(Some(upstream(place, attempt))),
        variables: variables(pipeline, job, trigger),
    })
}

fn file(pipeline: &Pipeline, includes: &[TriggerInclude]) -> Result<ChildFile, String> {
    let mut file = ChildFile::default();
    for include in includes {
        match include {
            TriggerInclude::Location { location, inputs } => file.include(location, inputs),
            TriggerInclude::Artifact { path, job, inputs } => {
                let made = pipeline
                    .graph
                    .job(job)
                    .map(|(at, _)| &pipeline.attempts[at]);
                let archive = made.and_then(|made| made.archive.as_ref());
                let archive = archive.ok_or_else(|| {
                    format!("{job}, which is to have made {path}, has no artifacts")
                })?;
                let bytes = crate::artifacts::read(&archive.file, path, CONFIG_LIMIT);
                let bytes = bytes.map_err(|error| format!("{job}: {}", chain(&error)))?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                file.include_made(path, job, text, inputs);
            }
        }
    }
    Ok(file)
}

/// What is handed on, expanded by all that the trigger job knows.
fn variables(pipeline: &Pipeline, job: &ci::Job, trigger: &Trigger) -> Vec<Variable> {
    let dotenv = pipeline.dotenv(job);
    let handed_on = forward::handed_on(job, trigger, [&dotenv, &pipeline.given]);
    let of_trigger = predefined::of_trigger(&TriggerFacts {
        addresses: &pipeline.subject.addresses(),
        project: &pipeline.subject.project,
        pipeline: pipeline.numbers(),
        stage: pipeline.stage(job),
        job,
    });
    let layers = [
        pipeline.predefined(),
        of_trigger,
        job.variables.clone(),
        dotenv,
        pipeline.settings.clone(),
        pipeline.given.clone(),
    ];
    forward::expanded(&handed_on, &ci::merge(layers.iter().flatten()))
}
