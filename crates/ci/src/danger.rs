//! What would do harm although it is right: data lost, secrets seen, a site down.
//!
//! Each is a diagnostic of the level `danger` with its mend. They look at what jobs say, whether or
//! not they run for this ref; scripts are read line by line, as a shell is not to be rebuilt here.

mod deploy;
mod image;
mod line;
mod reach;
mod undefined;

use crate::draft::{Context, Draft};
use crate::report::{Problem, Report};
use yaml::{Node, Span, Value};

/// Looks at all jobs.
pub(crate) fn look(drafts: &[Draft], context: &Context<'_>, report: &mut Report) {
    let dotenv = drafts.iter().any(hands_variables_on);
    let mut reach = reach::Reach::default();
    for draft in drafts {
        let lines = lines(draft);
        prune(&lines, report);
        for line in &lines {
            password(line, report);
            eval_over_ssh(line, report);
        }
        image::look(draft, report);
        image::look_at_pushes(&lines, report);
        if !dotenv {
            undefined::look(draft, &lines, context, report);
        }
        reach.look(draft, report);
    }
    deploy::look(drafts, report);
}

fn hands_variables_on(draft: &Draft) -> bool {
    let artifacts = draft.get("artifacts");
    let reports = artifacts.and_then(|node| node.get("reports"));
    reports.and_then(|node| node.get("dotenv")).is_some()
}

/// A line of a script with its place.
pub(crate) struct Line<'l> {
    pub(crate) text: &'l str,
    pub(crate) span: Span,
}

/// All lines of a job in the order they run.
pub(crate) fn lines(draft: &Draft) -> Vec<Line<'_>> {
    let mut all = Vec::new();
    for keyword in ["before_script", "script", "after_script"] {
        if let Some(node) = draft.get(keyword) {
            add_lines(node, &mut all);
        }
    }
    all
}

fn add_lines<'l>(node: &'l Node, all: &mut Vec<Line<'l>>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| add_lines(item, all)),
        Value::Text(text) if text.contains('\n') => {
            // The place of a block is where its first line starts.
            for (at, text) in text.lines().enumerate() {
                let span = Span {
                    line: node.span.line + u32::try_from(at).unwrap_or(0),
                    ..node.span
                };
                all.push(Line { text, span });
            }
        }
        Value::Text(text) => all.push(Line {
            text,
            span: node.span,
        }),
        _ => {}
    }
}

/// Whatever `down` left is unused, so the prune takes the volumes with their data.
fn prune(lines: &[Line<'_>], report: &mut Report) {
    let mut down = None;
    for one in lines {
        if line::is_compose(one.text, "down") {
            down = Some(one.span);
        }
        if !one.text.contains("prune") {
            continue;
        }
        let prunes = line::has_words(one.text, &["docker", "system", "prune"])
            && line::has_flag(one.text, "--volumes")
            || line::has_words(one.text, &["docker", "volume", "prune"]);
        if let (Some(down), true) = (down, prunes) {
            let message =
                "this deletes the volumes, and the data in them, of what `down` just removed";
            report.add(
                Problem::danger("prune-volumes", one.span, message)
                    .note(down, "`down` is here")
                    .hint(
                        "prune without `--volumes`; delete a volume by its name when you mean it",
                    ),
            );
        }
    }
}

/// Whoever may list processes reads the command line.
fn password(one: &Line<'_>, report: &mut Report) {
    if let Some(mend) = line::password_argument(one.text) {
        let message = "a password on a command line: every user of the host can read it there";
        report.add(Problem::danger("password-argument", one.span, message).hint(mend));
    }
}

/// A failing line in the file goes unnoticed, and quotes in it break.
fn eval_over_ssh(one: &Line<'_>, report: &mut Report) {
    if line::evals_a_file_over_ssh(one.text) {
        let message = "a file is passed through `eval` over ssh: quotes in it break, and only its last command's failure is seen";
        report.add(
            Problem::danger("eval-over-ssh", one.span, message)
                .hint("send it to a shell that stops at errors: `ssh HOST 'bash -se' < FILE`"),
        );
    }
}
