//! Which files are artifacts: GitLab's path patterns, relative to the project's folder.
//!
//! `*` stays within a name, `**` crosses folders, a folder stands for all in it. `.git` is never an
//! artifact. Symbolic links are taken as links and not followed.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// What to select from.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) root: PathBuf,
    pub(crate) paths: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) untracked: Vec<PathBuf>,
}

/// What was selected.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Relative to the root, sorted; folders included.
    pub(crate) files: Vec<PathBuf>,
    /// How many each pattern has matched.
    pub(crate) matched: Vec<(String, usize)>,
}

/// Selects files; an error is a pattern that is none.
pub(crate) fn select(choice: &Choice) -> Result<Selection, String> {
    let excluded: Vec<GlobMatcher> = choice
        .exclude
        .iter()
        .map(|pattern| glob(&relative(pattern, &choice.root)))
        .collect::<Result<_, _>>()?;
    let is_excluded = |path: &Path| excluded.iter().any(|glob| glob.is_match(path));
    let mut files = BTreeSet::new();
    let mut matched = Vec::new();
    for pattern in &choice.paths {
        let found = matching(&choice.root, pattern)?;
        matched.push((pattern.clone(), found.len()));
        files.extend(found.into_iter().filter(|path| !is_excluded(path)));
    }
    if !choice.untracked.is_empty() {
        matched.push(("untracked".to_owned(), choice.untracked.len()));
    }
    let untracked = choice.untracked.iter().filter(|path| !is_excluded(path));
    files.extend(untracked.cloned());
    Ok(Selection {
        files: files.into_iter().collect(),
        matched,
    })
}

/// All that one pattern matches. Only the folder that the pattern names before its first wildcard
/// is walked.
fn matching(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = relative(pattern, root);
    let parts: Vec<&str> = pattern
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err(format!(
            "the artifact path `{pattern}` leaves the project's folder"
        ));
    }
    let wild = |part: &&str| part.contains(['*', '?', '[', '{', '\\']);
    let literal = parts.iter().position(wild).unwrap_or(parts.len());
    let base: PathBuf = parts[..literal].iter().collect();
    if leads_through_link(root, &base) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    if literal == parts.len() {
        walk(root, &base, &mut |path| found.push(path.to_owned()));
        return Ok(found);
    }
    let glob = glob(&parts.join("/"))?;
    walk(root, &base, &mut |path| {
        // A folder that matches stands for all in it.
        if path.ancestors().any(|part| glob.is_match(part)) {
            found.push(path.to_owned());
        }
    });
    Ok(found)
}

fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("the artifact path `{pattern}` is no pattern: {error}"))
}

/// A pattern that is given with the project's folder in front means what is behind it.
fn relative(pattern: &str, root: &Path) -> String {
    let root = root.display().to_string();
    let inner = pattern
        .strip_prefix(&root)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    inner
        .unwrap_or(pattern)
        .trim_start_matches('/')
        .trim_start_matches("./")
        .to_owned()
}

/// Whether a folder on the way to `path` is a link, which could lead anywhere.
fn leads_through_link(root: &Path, path: &Path) -> bool {
    let inner = path
        .ancestors()
        .skip(1)
        .filter(|part| !part.as_os_str().is_empty());
    inner
        .filter_map(|part| fs_err::symlink_metadata(root.join(part)).ok())
        .any(|metadata| metadata.is_symlink())
}

/// Visits a file, or a folder and all in it. What disappears meanwhile is not visited.
fn walk(root: &Path, path: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(metadata) = fs_err::symlink_metadata(root.join(path)) else {
        return;
    };
    let is_git = path.components().next() == Some(Component::Normal(".git".as_ref()));
    if is_git {
        return;
    }
    if !path.as_os_str().is_empty() {
        visit(path);
    }
    if !metadata.is_dir() {
        return;
    }
    let Ok(entries) = fs_err::read_dir(root.join(path)) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        walk(root, &path.join(entry.file_name()), visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "a.txt",
            "b.log",
            "d/c.txt",
            "d/e/f.txt",
            "d/e/g.log",
            ".git/config",
        ] {
            fs_err::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs_err::write(root.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        let absolute = format!("{}/a.txt", root.display());
        for (paths, exclude, expected) in [
            (&["a.txt"][..], &[][..], "a.txt"),
            (&["./a.txt", "a.txt"], &[], "a.txt"),
            (&[&absolute], &[], "a.txt"),
            (&["*.txt"], &[], "a.txt"),
            (&["**/*.txt"], &[], "a.txt d/c.txt d/e/f.txt"),
            (&["d"], &[], "d d/c.txt d/e d/e/f.txt d/e/g.log"),
            (&["d/"], &["**/*.log"], "d d/c.txt d/e d/e/f.txt"),
            (&["d/*"], &[], "d/c.txt d/e d/e/f.txt d/e/g.log"),
            (&["d/{c,x}.txt", "?.log"], &[], "b.log d/c.txt"),
            (&["none"], &[], ""),
            (&["link"], &[], "link"),
            (&["link/passwd", "link/*"], &[], ""),
            (&["."], &["d/**", "d"], "a.txt b.log link"),
        ] {
            let own = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
            let choice = Choice {
                root: root.to_owned(),
                paths: own(paths),
                exclude: own(exclude),
                untracked: Vec::new(),
            };
            let selection = select(&choice).unwrap();
            let files: Vec<_> = selection
                .files
                .iter()
                .map(|f| f.display().to_string())
                .collect();
            assert_eq!(files.join(" "), expected, "{paths:?} without {exclude:?}");
        }
        let out = Choice {
            paths: vec!["../x".to_owned()],
            root: root.to_owned(),
            ..Choice::default()
        };
        assert!(select(&out).is_err());
    }
}
