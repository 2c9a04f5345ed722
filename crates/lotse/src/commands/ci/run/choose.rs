//! Which jobs of a pipeline run, and which of them without waiting for anybody.

use std::collections::BTreeSet;

use ci::{AllowFailure, Compiled, Graph, Job, When};

use crate::output::Failure;

/// What the user asked for.
pub(super) struct Wish<'a> {
    pub(super) jobs: &'a [String],
    pub(super) with_needs: bool,
    pub(super) manual: &'a [String],
}

/// What runs.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) graph: Graph,
    /// By index in the graph.
    pub(super) play: BTreeSet<usize>,
}

/// Leaves nothing of the pipeline but what was asked for.
pub(super) fn choose(
    compiled: &Compiled,
    graph: &Graph,
    wish: &Wish<'_>,
) -> Result<Chosen, Failure> {
    if graph.is_empty() {
        return Err(Failure::user("no job would run: there is no pipeline")
            .hint("`lotse ci show --jobs` says why; give another --ref, --tag or --source"));
    }
    let named = find_all(compiled, graph, wish.jobs)?;
    let played = find_all(compiled, graph, wish.manual)?;
    let kept = match (wish.jobs.is_empty(), wish.with_needs) {
        (true, _) => (0..graph.jobs.len()).collect(),
        (false, true) => graph.with_all_before(&named),
        (false, false) => named.clone(),
    };
    let waits = |at: &&usize| matches!(graph.jobs[**at].when, When::Manual | When::Delayed);
    if let Some(job) = played.iter().find(|at| !waits(at)) {
        let name = &graph.jobs[*job].name;
        return Err(Failure::usage(format!(
            "`{name}` cannot be played: it is neither manual nor delayed here"
        )));
    }
    if let Some(job) = played.difference(&kept).next() {
        let name = &graph.jobs[*job].name;
        return Err(Failure::usage(format!(
            "`{name}` is to be played, but it is not among the jobs that run"
        ))
        .hint("name it as a job too"));
    }
    let place = |at: &usize| kept.range(..at).count();
    let mut part = graph.only(&kept);
    for at in &named {
        start_at_once(&mut part.jobs[place(at)], wish.with_needs);
    }
    Ok(Chosen {
        play: played.iter().map(place).collect(),
        graph: part,
    })
}

/// Who names a job wants it to run, and to know whether it went well.
fn start_at_once(job: &mut Job, with_needs: bool) {
    match job.when {
        When::Manual | When::Delayed => {
            if job.allow_failure == AllowFailure::Yes {
                job.allow_failure = AllowFailure::No;
            }
            job.when = When::OnSuccess;
            job.start_in = None;
        }
        // Nothing is before it that could fail.
        When::OnFailure if !with_needs => job.when = When::OnSuccess,
        _ => {}
    }
}

fn find_all(
    compiled: &Compiled,
    graph: &Graph,
    names: &[String],
) -> Result<BTreeSet<usize>, Failure> {
    let mut found = BTreeSet::new();
    for name in names {
        let jobs = graph.jobs.iter().enumerate();
        let fits = jobs.filter(|(_, job)| job.name == *name || job.group == *name);
        let before = found.len();
        found.extend(fits.map(|(at, _)| at));
        let known = graph
            .jobs
            .iter()
            .any(|job| job.name == *name || job.group == *name);
        if found.len() == before && !known {
            return Err(absent(compiled, graph, name));
        }
    }
    Ok(found)
}

fn absent(compiled: &Compiled, graph: &Graph, name: &str) -> Failure {
    if let Some(left) = compiled.left_out.iter().find(|left| left.job == name) {
        return Failure::user(format!(
            "job `{name}` does not run here: {} ({})",
            left.reason, left.place
        ))
        .hint("give the --ref, --tag, --source or --var for which it does");
    }
    let names: Vec<_> = (graph.jobs.iter().take(20))
        .map(|job| job.name.as_str())
        .collect();
    Failure::user(format!("there is no job `{name}` in this pipeline"))
        .hint(format!("it has {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
build: {stage: build, script: x}
many: {stage: test, parallel: 2, script: x}
deploy: {stage: deploy, when: manual, script: x}
mend: {stage: deploy, when: on_failure, script: x}
tagged: {script: x, rules: [{if: $CI_COMMIT_TAG}]}
";

    fn check(jobs: &[&str], with_needs: bool, manual: &[&str]) -> Result<Vec<String>, String> {
        let git_ref = model::GitRef::branch("main").unwrap();
        let compiled = ci::compile(&ci::Input::new("ci.yml", FILE, git_ref));
        let graph = compiled.graph.clone().unwrap();
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (jobs, manual): (Vec<String>, Vec<String>) = (owned(jobs), owned(manual));
        let wish = Wish {
            jobs: &jobs,
            with_needs,
            manual: &manual,
        };
        let chosen = choose(&compiled, &graph, &wish).map_err(|failure| failure.to_string())?;
        let show = |(at, job): (usize, &Job)| {
            let played = if chosen.play.contains(&at) {
                " played"
            } else {
                ""
            };
            format!("{} {}{played}", job.name, job.when.as_str())
        };
        Ok(chosen.graph.jobs.iter().enumerate().map(show).collect())
    }

    #[test]
    fn jobs_by_name() {
        let all = [
            "build on_success",
            "many 1/2 on_success",
            "many 2/2 on_success",
        ];
        assert_eq!(check(&["build"], false, &[]).unwrap(), all[..1]);
        assert_eq!(check(&["many"], true, &[]).unwrap(), all);
        assert_eq!(check(&["many 2/2"], false, &[]).unwrap(), all[2..]);
        assert_eq!(
            check(&["deploy", "mend"], false, &[]).unwrap(),
            ["deploy on_success", "mend on_success"]
        );
        assert_eq!(check(&["mend"], true, &[]).unwrap()[3], "mend on_failure");
        assert_eq!(
            check(&[], false, &["deploy"]).unwrap()[3],
            "deploy manual played"
        );
    }

    #[test]
    fn names_that_are_no_jobs_here() {
        let tagged = check(&["tagged"], false, &[]).unwrap_err();
        assert!(
            tagged.contains("does not run here: none of its `rules` fits (ci.yml:6:"),
            "{tagged}"
        );
        assert!(
            check(&["nothing"], false, &[])
                .unwrap_err()
                .contains("no job `nothing`")
        );
        assert!(
            check(&["build"], false, &["deploy"])
                .unwrap_err()
                .contains("not among")
        );
        assert!(
            check(&[], false, &["build"])
                .unwrap_err()
                .contains("neither manual nor delayed")
        );
    }
}
