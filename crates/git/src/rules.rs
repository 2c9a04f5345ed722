//! Which changes of refs a push may not make.
//!
//! The rules are judged on the list of changes that the client sends before its pack. What they
//! refuse is written to a file, and git's `update` hook refuses these refs alone: the rest of the
//! push goes through, as users of git expect. Without a refusal no hook runs.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::receive::Command;

/// Whether a push may move or delete a tag that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagPolicy {
    /// A tag stays what it is: something may have been deployed under its name.
    #[default]
    Fixed,
    /// Tags move like branches.
    Movable,
}

/// A change that is refused, with the reason that the user sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyRule {
    /// The full name of the refs, in which `*` stands for any text: `refs/heads/release/*`.
    pub refs: String,
    /// Which change is refused.
    pub change: Change,
    /// What is wrong, without `error:`.
    pub message: String,
    /// The mend, without `hint:`.
    pub hint: String,
}

/// What a push does to a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Anything.
    Any,
    /// It did not exist.
    Create,
    /// It existed and points elsewhere now.
    Update,
    /// It existed, and the new commit does not contain the old one (a forced push).
    Rewrite,
    /// It is removed.
    Delete,
}

/// One line of the hook's file: a change that is refused at once, or only if it rewrites.
#[derive(Debug, PartialEq, Eq)]
struct Refusal<'a> {
    name: &'a str,
    only_rewrite: bool,
    message: String,
    hint: String,
}

/// The file that the hook reads; it goes when the push is over.
pub(crate) struct RefusalFile(PathBuf);

impl RefusalFile {
    /// Judges the changes; none when there is nothing to refuse.
    pub(crate) async fn write(
        commands: &[Command],
        tags: TagPolicy,
        deny: &[DenyRule],
        path: PathBuf,
    ) -> io::Result<Option<Self>> {
        let refusals: Vec<_> = commands
            .iter()
            .flat_map(|command| judge(command, tags, deny))
            .collect();
        if refusals.is_empty() {
            return Ok(None);
        }
        let file = Self(path);
        fs_err::tokio::write(&file.0, render(&refusals)).await?;
        Ok(Some(file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RefusalFile {
    fn drop(&mut self) {
        // What stays is cleared at the next start.
        let _ = fs_err::remove_file(&self.0);
    }
}

fn judge<'a>(command: &'a Command, tags: TagPolicy, deny: &[DenyRule]) -> Vec<Refusal<'a>> {
    let refuse = |message: String, hint: &str| Refusal {
        name: &command.name,
        only_rewrite: false,
        message,
        hint: hint.to_owned(),
    };
    let mut refusals = Vec::new();
    let short = command.name.strip_prefix("refs/tags/");
    if let (Some(tag), TagPolicy::Fixed, true) = (short, tags, command.old.is_some()) {
        refusals.push(refuse(
            format!("the tag {tag} is already in use and stays what it is"),
            "give the new state a new version, or have the tag deleted on the server first",
        ));
    }
    let branch_or_tag = short.is_some() || command.name.starts_with("refs/heads/");
    if branch_or_tag && command.name.parse::<model::GitRef>().is_err() {
        refusals.push(refuse(
            format!("{} is not a name for a branch or tag here", command.name),
            "let no part of the name begin with `-` or `.`",
        ));
    }
    refusals.extend(
        deny.iter()
            .filter(|rule| concerns(rule, command))
            .map(|rule| Refusal {
                only_rewrite: rule.change == Change::Rewrite,
                ..refuse(rule.message.clone(), &rule.hint)
            }),
    );
    refusals
}

fn concerns(rule: &DenyRule, command: &Command) -> bool {
    let (had, has) = (command.old.is_some(), command.new.is_some());
    let change = match rule.change {
        Change::Any => true,
        Change::Create => !had,
        Change::Update | Change::Rewrite => had && has,
        Change::Delete => !has,
    };
    change && matches_pattern(&rule.refs, &command.name)
}

/// Whether the name fits, where `*` stands for any text.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let Some((start, pattern)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = pattern.rsplit_once('*').unwrap_or(("", pattern));
    let Some(mut name) = name.strip_suffix(end) else {
        return false;
    };
    for part in middle.split('*') {
        match name.split_once(part) {
            Some((_, rest)) => name = rest,
            None => return false,
        }
    }
    true
}

/// One refusal a line, its four fields divided by tabs.
fn render(refusals: &[Refusal<'_>]) -> String {
    let field = |text: &str| text.replace(char::is_control, " ");
    let mut lines = String::new();
    for refusal in refusals {
        let when = if refusal.only_rewrite {
            "rewrite"
        } else {
            "always"
        };
        let (message, hint) = (field(&refusal.message), field(&refusal.hint));
        writeln!(lines, "{when}\t{}\t{message}\t{hint}", refusal.name)
            .expect("writing to a string cannot fail");
    }
    lines
}

/// What receive-pack runs for each ref. Its standard error is what the user sees.
const HOOK: &str = r#"#!/bin/sh
# update REF OLD NEW: refuses what the file $LOTSE_REFUSALS names.
# Written when the server starts; changes are lost.
[ -r "$LOTSE_REFUSALS" ] || exit 1
tab=$(printf '\t')
while IFS="$tab" read -r when ref message hint; do
    [ "$ref" = "$1" ] || continue
    if [ "$when" = rewrite ] && git merge-base --is-ancestor "$2" "$3"; then
        continue
    fi
    printf 'error: %s\nhint: %s\n' "$message" "$hint" >&2
    exit 1
done < "$LOTSE_REFUSALS"
exit 0
"#;

/// Puts the hook in place, whole or not at all.
pub(crate) fn write_hook(root: &Path) -> io::Result<()> {
    let hook = root.join("hooks/update");
    if fs_err::read_to_string(&hook).is_ok_and(|text| text == HOOK) {
        return Ok(());
    }
    let new = root.join(format!("tmp/hook-{}", std::process::id()));
    fs_err::write(&new, HOOK)?;
    fs_err::set_permissions(&new, std::fs::Permissions::from_mode(0o755))?;
    fs_err::File::open(&new)?.sync_all()?;
    fs_err::rename(&new, &hook)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main2", false),
            ("refs/heads/*", "refs/heads/a/b", true),
            ("refs/heads/*", "refs/tags/a", false),
            ("*", "refs/x", true),
            ("refs/*/v*-*", "refs/tags/v1-rc", true),
            ("refs/*/v*-*", "refs/tags/v1", false),
            ("a*a", "a", false),
            ("", "", true),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn judgements() {
        let rule = |refs: &str, change| DenyRule {
            refs: refs.to_owned(),
            change,
            message: "no".to_owned(),
            hint: "ask".to_owned(),
        };
        let deny = [
            rule("refs/heads/main", Change::Rewrite),
            rule("refs/heads/gone", Change::Delete),
            rule("refs/heads/new", Change::Create),
        ];
        let id: Option<crate::ObjectId> = Some(ID.parse().unwrap());
        for (name, old, new, refused) in [
            ("refs/heads/main", true, true, true),
            ("refs/heads/main", true, false, false),
            ("refs/heads/gone", true, false, true),
            ("refs/heads/gone", true, true, false),
            ("refs/heads/new", false, true, true),
            ("refs/tags/v1", false, true, false),
            ("refs/tags/v1", true, true, true),
            ("refs/tags/v1", true, false, true),
            ("refs/heads/-x", false, true, true),
        ] {
            let command = Command {
                name: name.to_owned(),
                old: id.clone().filter(|_| old),
                new: id.clone().filter(|_| new),
            };
            let found = !judge(&command, TagPolicy::Fixed, &deny).is_empty();
            assert_eq!(found, refused, "{name} {old} {new}");
        }
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let refusal = Refusal {
            name: "refs/heads/a",
            only_rewrite: true,
            message: "one\ntwo\tthree".to_owned(),
            hint: String::new(),
        };
        assert_eq!(
            render(&[refusal]),
            "rewrite\trefs/heads/a\tone two three\t\n"
        );
    }
}
