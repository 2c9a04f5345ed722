//! Where a job works, and which variables it gets beside the server's.

use std::path::{Component, Path, PathBuf};

use model::Secret;
use runner_api::{JobResponse, Variable};

use crate::job::{Assignment, Workshop};
use crate::register::architecture;
use crate::variables::Variables;
use crate::work::Place;

/// Where the job works, and its variables.
pub(crate) struct Surroundings {
    pub(crate) place: Place,
    pub(crate) variables: Variables,
    /// What is wrong with the place that the job asks for.
    pub(crate) problem: Option<String>,
}

/// The runner's own variables come last, and count.
pub(crate) fn surroundings(workshop: &Workshop, assignment: &Assignment) -> Surroundings {
    let (config, job) = (&workshop.config, &assignment.job);
    let builds = config.directory.join("builds");
    let usual = builds
        .join(config.short_token())
        .join(assignment.slot.to_string())
        .join(project_folder(job));
    let mut all = job.variables.clone();
    all.extend(runner_variables(workshop, assignment, &builds));
    let expand = |place: &Place| {
        let mut all = all.clone();
        all.push(public(
            "CI_PROJECT_DIR",
            &place.project.display().to_string(),
        ));
        Variables::expand(&all, &place.temporary, &workshop.base)
    };
    let place = Place::new(usual);
    let variables = expand(&place);
    match variables.get("GIT_CLONE_PATH") {
        None | Some("") => Surroundings {
            place,
            variables,
            problem: None,
        },
        Some(wanted) => match within(&builds, Path::new(wanted)) {
            Some(project) => {
                let place = Place::new(project);
                Surroundings {
                    variables: expand(&place),
                    place,
                    problem: None,
                }
            }
            None => Surroundings {
                problem: Some(format!(
                    "GIT_CLONE_PATH is `{wanted}`, which is not within $CI_BUILDS_DIR"
                )),
                place,
                variables,
            },
        },
    }
}

fn runner_variables(workshop: &Workshop, assignment: &Assignment, builds: &Path) -> Vec<Variable> {
    let slot = assignment.slot.to_string();
    let mut variables: Vec<Variable> = [
        ("CI_BUILDS_DIR", builds.display().to_string().as_str()),
        ("CI_SERVER", "yes"),
        ("CI_CONCURRENT_ID", &slot),
        ("CI_CONCURRENT_PROJECT_ID", &slot),
        ("CI_SHARED_ENVIRONMENT", "true"),
        ("CI_RUNNER_SHORT_TOKEN", workshop.config.short_token()),
        ("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION")),
        (
            "CI_RUNNER_EXECUTABLE_ARCH",
            &format!("linux/{}", architecture()),
        ),
        ("CI_JOB_STATUS", "running"),
    ]
    .into_iter()
    .map(|(name, value)| public(name, value))
    .collect();
    let token = assignment.job.token.clone();
    let named = |variable: &Variable| variable.key == "CI_JOB_TOKEN";
    if !assignment.job.variables.iter().any(named) {
        variables.push(Variable {
            key: "CI_JOB_TOKEN".to_owned(),
            value: token,
            masked: true,
            raw: true,
            ..Variable::default()
        });
    }
    variables
}

fn public(key: &str, value: &str) -> Variable {
    Variable {
        key: key.to_owned(),
        value: Secret::new(value),
        public: true,
        raw: true,
        ..Variable::default()
    }
}

/// `group/name`, as far as it is fit for a path.
fn project_folder(job: &JobResponse) -> PathBuf {
    let path = project_path(job);
    let safe = within(Path::new("/"), &Path::new("/").join(path));
    match safe.as_deref().and_then(|safe| safe.strip_prefix("/").ok()) {
        Some(safe) if !safe.as_os_str().is_empty() => safe.to_owned(),
        _ => PathBuf::from(format!("project-{}", job.job_info.project_id)),
    }
}

pub(crate) fn project_path(job: &JobResponse) -> &str {
    let given = job.job_info.project_full_path.as_str();
    let variable = || {
        let mut variables = job.variables.iter().rev();
        variables.find(|variable| variable.key == "CI_PROJECT_PATH")
    };
    match (given, variable()) {
        ("", Some(variable)) => variable.value.expose(),
        ("", None) => &job.job_info.project_name,
        (given, _) => given,
    }
}

/// The path, when it lies below `folder` and goes there without detours.
fn within(folder: &Path, path: &Path) -> Option<PathBuf> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let rest = path.strip_prefix(folder).ok()?;
    let below = rest.components().next().is_some() && rest.components().all(plain);
    below.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_stays_in_its_folder() {
        for (path, folder) in [
            ("group/name", "group/name"),
            ("a/b/c", "a/b/c"),
            ("../../etc", "project-7"),
            ("a/../../b", "project-7"),
            ("/etc", "etc"),
            ("", "project-7"),
        ] {
            let mut job = JobResponse::default();
            job.job_info.project_id = 7;
            job.job_info.project_full_path = path.to_owned();
            assert_eq!(project_folder(&job), Path::new(folder), "{path}");
        }
    }

    #[test]
    fn within_is_below_and_without_detours() {
        let builds = Path::new("/srv/builds");
        assert!(within(builds, Path::new("/srv/builds/a")).is_some());
        for path in [
            "/srv/builds",
            "/srv/builds/../x",
            "/etc",
            "a",
            "/srv/builds2/a",
        ] {
            assert!(within(builds, Path::new(path)).is_none(), "{path}");
        }
    }
}
