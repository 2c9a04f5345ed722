//! Variables that a script uses and nobody defines: the shell puts nothing in their place.

use std::collections::HashSet;

use super::Line;
use crate::draft::{Context, Draft};
use crate::report::{Problem, Report};
use yaml::Node;

pub(crate) fn look(draft: &Draft, lines: &[Line<'_>], context: &Context<'_>, report: &mut Report) {
    let mut uses = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        uses_of(line.text, |name| uses.push((at, name)));
    }
    if uses.is_empty() || lines.iter().any(|line| reads_a_file(line.text)) {
        return;
    }
    let known = definitions(draft, lines);
    let mut said = HashSet::new();
    for (at, name) in uses {
        let defined = known.contains(name)
            || is_environment(name)
            || context.outside.knows(name)
            || draft.variables.iter().any(|variable| variable.key == name);
        if defined || !said.insert(name) {
            continue;
        }
        let message = format!("`${name}` is used here and defined nowhere: it will be empty");
        let names = (draft.variables.iter())
            .map(|variable| variable.key.as_str())
            .chain(PREDEFINED);
        let hint = match report.nearest(name, names) {
            Some(near) => format!("did you mean `${near}`?"),
            None => format!(
                "define it under `variables` or in the project's settings, or give a default: `${{{name}:-…}}`"
            ),
        };
        report.add(Problem::danger("undefined-variable", lines[at].span, message).hint(hint));
    }
}

/// Those that a slip of the pen is likely to hit.
const PREDEFINED: [&str; 22] = [
    "CI_COMMIT_TAG",
    "CI_COMMIT_BRANCH",
    "CI_COMMIT_SHA",
    "CI_COMMIT_SHORT_SHA",
    "CI_COMMIT_REF_NAME",
    "CI_COMMIT_REF_SLUG",
    "CI_COMMIT_MESSAGE",
    "CI_DEFAULT_BRANCH",
    "CI_PIPELINE_SOURCE",
    "CI_PIPELINE_ID",
    "CI_PROJECT_DIR",
    "CI_PROJECT_NAME",
    "CI_PROJECT_PATH",
    "CI_REGISTRY",
    "CI_REGISTRY_IMAGE",
    "CI_REGISTRY_USER",
    "CI_REGISTRY_PASSWORD",
    "CI_JOB_NAME",
    "CI_JOB_TOKEN",
    "CI_JOB_ID",
    "CI_ENVIRONMENT_NAME",
    "CI_SERVER_URL",
];

/// What a runner, a shell or an image puts into the environment.
fn is_environment(name: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "CI_", "GITLAB_", "RUNNER_", "FF_", "CHAT_", "BASH", "LC_", "SSH_", "XDG_",
    ];
    const NAMES: [&str; 33] = [
        "CI",
        "HOME",
        "PATH",
        "PWD",
        "OLDPWD",
        "USER",
        "LOGNAME",
        "SHELL",
        "HOSTNAME",
        "LANG",
        "TERM",
        "IFS",
        "UID",
        "EUID",
        "PPID",
        "RANDOM",
        "SECONDS",
        "LINENO",
        "TMPDIR",
        "OPTARG",
        "OPTIND",
        "REPLY",
        "PIPESTATUS",
        "FUNCNAME",
        "TRIGGER_PAYLOAD",
        "JAVA_HOME",
        "GOPATH",
        "EDITOR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// Variables may come out of another file.
fn reads_a_file(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(". ")
        || line.starts_with("source ")
        || ["&& . ", "; . ", "&& source ", "; source ", "set -a"]
            .iter()
            .any(|part| line.contains(part))
}

/// What rules, a matrix, services' jobs and the script itself define.
fn definitions<'l>(draft: &'l Draft, lines: &[Line<'l>]) -> HashSet<&'l str> {
    let mut known = HashSet::new();
    let mut keys = |node: Option<&'l Node>| {
        let map = node.and_then(Node::as_map);
        known.extend(
            map.into_iter()
                .flat_map(|map| map.entries.iter().map(|entry| &*entry.key)),
        );
    };
    for keyword in ["variables", "secrets", "id_tokens"] {
        keys(draft.get(keyword));
    }
    let matrix = draft.get("parallel").and_then(|node| node.get("matrix"));
    for row in matrix.and_then(Node::as_list).unwrap_or_default() {
        keys(Some(row));
    }
    for rule in draft
        .get("rules")
        .and_then(Node::as_list)
        .unwrap_or_default()
    {
        keys(rule.get("variables"));
    }
    for line in lines {
        assigned(line.text, &mut known);
    }
    known
}

fn assigned<'l>(line: &'l str, known: &mut HashSet<&'l str>) {
    const INTRODUCE: [&str; 9] = [
        "for",
        "read",
        "export",
        "local",
        "declare",
        "mapfile",
        "readarray",
        "getopts",
        "readonly",
    ];
    let mut introduced = false;
    for word in line.split(|c: char| c.is_whitespace() || ";&|(){}`\"'".contains(c)) {
        let name = word.split(['=', '+']).next().unwrap_or("");
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if is_name && (introduced || word.contains('=')) {
            known.insert(name);
        }
        introduced = introduced || INTRODUCE.contains(&word);
    }
}

/// Each `$NAME` and `${NAME}` outside of single quotes; those with a default are not meant.
fn uses_of<'l>(line: &'l str, mut found: impl FnMut(&'l str)) {
    let bytes = line.as_bytes();
    let (mut single, mut double) = (false, false);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'\'' if !double => single = !single,
            b'"' if !single => double = !double,
            b'#' if !single && !double && (at == 0 || bytes[at - 1].is_ascii_whitespace()) => {
                return;
            }
            b'$' if !single => {
                let braced = bytes.get(at + 1) == Some(&b'{');
                let start = at + 1 + usize::from(braced);
                let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                let end = start
                    + bytes[start.min(bytes.len())..]
                        .iter()
                        .take_while(|byte| word(byte))
                        .count();
                let begins = bytes.get(start).is_some_and(|byte| !byte.is_ascii_digit());
                let plain = !braced || bytes.get(end) == Some(&b'}');
                if end > start && begins && plain {
                    found(&line[start..end]);
                }
                at = end.max(at + 1) - 1;
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_uses() {
        for (line, expected) in [
            ("echo $A ${B} \"$C\" '$D' \\$E", vec!["A", "B", "C"]),
            ("echo ${A:-x} $1 $? $$ $(ls) ${#A}", vec![]),
            ("echo a # $B", vec![]),
            ("ssh $H \"eval '$(cat $F)'\"", vec!["H", "F"]),
            ("echo $", vec![]),
            ("${", vec![]),
        ] {
            let mut found = Vec::new();
            uses_of(line, |name| found.push(name));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn what_a_line_defines() {
        let mut known = HashSet::new();
        for line in [
            "A=1 B=2 cmd",
            "export C D=3",
            "for f in *; do",
            "read -r x y",
            "V=$(date)",
        ] {
            assigned(line, &mut known);
        }
        for name in ["A", "B", "C", "D", "f", "x", "y", "V"] {
            assert!(known.contains(name), "{name}");
        }
        assert!(!known.contains("cmd"));
    }
}
