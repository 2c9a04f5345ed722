//! A host that is deployed although the one before may be down.

use std::collections::HashMap;

use super::{Line, line, lines};
use crate::draft::{Draft, Fate};
use crate::graph::{AllowFailure, When};
use crate::read;
use crate::report::{Problem, Report};
use yaml::{Node, Span};

/// A job that brings a release to a host.
struct Deploy<'d> {
    draft: &'d Draft,
    /// Where the containers are started.
    up: Span,
    /// Whether something looks at them afterwards.
    checked: bool,
}

pub(crate) fn look(drafts: &[Draft], report: &mut Report) {
    let mut deploys: Vec<_> = drafts.iter().filter_map(deploy).collect();
    deploys.sort_by_key(|deploy| deploy.draft.stage);
    let mut before: HashMap<Option<String>, &Deploy<'_>> = HashMap::new();
    for deploy in &deploys {
        let environment = environment(deploy.draft);
        if let Some(earlier) = before.get(&environment)
            && earlier.draft.stage < deploy.draft.stage
        {
            check(earlier, deploy, report);
        }
        before.insert(environment, deploy);
    }
}

/// Deploys to different environments do not wait for each other's hosts.
fn environment(draft: &Draft) -> Option<String> {
    Some(read::environment(draft.get("environment")?).name)
}

fn deploy(draft: &Draft) -> Option<Deploy<'_>> {
    let lines = lines(draft);
    let starts = |one: &Line<'_>| {
        line::is_compose(one.text, "up")
            && (line::has_flag(one.text, "-d") || line::has_flag(one.text, "--detach"))
    };
    let Some(at) = lines.iter().rposition(starts) else {
        return deploy_over_ssh(draft, &lines);
    };
    let looks = |one: &Line<'_>| {
        let words = ["curl", "wget", "--wait", "health", "inspect", "nc "];
        words.iter().any(|word| one.text.contains(word))
    };
    Some(Deploy {
        draft,
        up: lines[at].span,
        checked: lines[at..].iter().any(looks),
    })
}

/// Whether the script looks at what it has started is not known.
fn deploy_over_ssh<'d>(draft: &'d Draft, lines: &[Line<'_>]) -> Option<Deploy<'d>> {
    let mut deploys = lines
        .iter()
        .filter(|one| line::evals_a_file_over_ssh(one.text));
    Some(Deploy {
        draft,
        up: deploys.next()?.span,
        checked: true,
    })
}

fn check(earlier: &Deploy<'_>, later: &Deploy<'_>, report: &mut Report) {
    let (first, second) = (&earlier.draft.name, &later.draft.name);
    let allowed = earlier.draft.get("allow_failure").map(read::allow_failure);
    let allowed = allowed.is_some_and(|allowed| allowed != AllowFailure::No);
    let (span, message, hint) = if later_when(later.draft) == When::Always {
        let span = later
            .draft
            .get("when")
            .map_or(later.draft.span, |node| node.span);
        let message = format!("`{second}` is deployed even when `{first}` failed");
        (span, message, "take `when: always` away".to_owned())
    } else if allowed {
        let node = earlier.draft.get("allow_failure");
        let span = node.map_or(earlier.draft.span, |node| node.span);
        let message = format!("`{first}` may fail, and `{second}` is deployed all the same");
        (
            span,
            message,
            format!("take `allow_failure` of `{first}` away"),
        )
    } else if !earlier.checked {
        let message = format!(
            "`up -d` succeeds while its containers die: `{second}` is deployed even when `{first}` left its host broken"
        );
        let hint = "ask the site before the job ends: `curl --fail --retry 10 --retry-all-errors http://localhost/ping`; or use `lotse deploy`";
        (earlier.up, message, hint.to_owned())
    } else {
        return;
    };
    report.add(
        Problem::danger("deploy-after-failure", span, message)
            .note(later.up, format!("`{second}` deploys here"))
            .hint(hint),
    );
}

fn later_when(draft: &Draft) -> When {
    let runs = draft.parts.iter().find_map(|part| match &part.fate {
        Fate::Runs(terms) => Some(terms.when),
        Fate::LeftOut(..) => None,
    });
    runs.unwrap_or_else(|| {
        draft
            .get("when")
            .and_then(Node::as_str)
            .filter(|text| *text == "always")
            .map_or(When::OnSuccess, |_| When::Always)
    })
}
