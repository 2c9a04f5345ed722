//! Paths as texts: joined and normalised without a look at any file system.

/// `path` as seen from the folder `base`: absolute, without `.`, `..` and double slashes. A leading
/// `~` is the home folder, where there is one.
pub(crate) fn absolute(base: &str, path: &str, home: Option<&str>) -> String {
    if let (Some(rest), Some(home)) = (path.strip_prefix('~'), home)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return clean(&format!("{home}{rest}"));
    }
    match path.starts_with('/') {
        true => clean(path),
        false => clean(&format!("{base}/{path}")),
    }
}

/// The same path without `.`, `..` where possible, and double slashes.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// The folder that a path is in.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => ".",
    }
}

/// The last part of a path; empty for the root.
pub(crate) fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// A path as people in `directory` would write it.
pub(crate) fn shown<'p>(directory: &str, path: &'p str) -> &'p str {
    let folder = directory.trim_end_matches('/');
    path.strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (base, path, expected) in [
            ("/p", "a/b", "/p/a/b"),
            ("/p", "./a//b/", "/p/a/b"),
            ("/p/q", "../a", "/p/a"),
            ("/p", "../../../a", "/a"),
            ("/p", "/x/./y", "/x/y"),
            ("/p", "~/x", "/home/u/x"),
            ("/p", "~other/x", "/p/~other/x"),
            ("/p", ".", "/p"),
            ("/", "a", "/a"),
        ] {
            assert_eq!(absolute(base, path, Some("/home/u")), expected, "{path}");
        }
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "/");
        assert_eq!(shown("/p", "/p/a/b"), "a/b");
        assert_eq!(shown("/p", "/q"), "/q");
        assert_eq!(clean("../a"), "../a");
    }
}
