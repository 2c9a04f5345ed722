//! What a file asks for and this server does not carry out yet: said at the push, so that nobody waits
//! for it. The list is the one in `docs/ci.md`; it gets shorter.

use ci::{Graph, Job};

/// What is asked of a job.
type Asks = fn(&Job) -> bool;

/// Keywords without effect, and which jobs use them.
const KEYWORDS: [(&str, Asks); 8] = [
    ("cache", |job| !job.cache.is_empty()),
    ("services", |job| !job.services.is_empty()),
    ("run", |job| job.run.is_some()),
    ("hooks", |job| !job.hooks.pre_get_sources_script.is_empty()),
    ("release", |job| job.release.is_some()),
    ("pages", |job| job.pages.is_some()),
    ("secrets", |job| job.secrets.is_some()),
    ("id_tokens", |job| !job.id_tokens.is_empty()),
];

/// A line for each such keyword that the graph uses; empty when there is none.
pub(crate) fn note(graph: &Graph) -> String {
    let mut text = String::new();
    for (keyword, asks) in KEYWORDS {
        let jobs: Vec<&str> = graph
            .jobs
            .iter()
            .filter(|job| asks(job))
            .map(|job| job.name.as_str())
            .collect();
        if let Some((first, others)) = jobs.split_first() {
            let more = match others.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            text.push_str(&format!(
                "\nnote: `{keyword}` of {first}{more} has no effect here yet"
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note_of(text: &str) -> String {
        let git_ref = model::GitRef::branch("main").unwrap();
        let compiled = ci::compile(&ci::Input::new(".gitlab-ci.yml", text, git_ref));
        note(&compiled.graph.unwrap())
    }

    #[test]
    fn only_what_is_used_is_named() {
        assert_eq!(note_of("a: {script: [x]}"), "");
        let text = "a: {script: [x], cache: {paths: [x]}}\nb: {script: [x], cache: {paths: [y]}}";
        assert_eq!(
            note_of(text),
            "\nnote: `cache` of a and 1 more has no effect here yet"
        );
    }
}
