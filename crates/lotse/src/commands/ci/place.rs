//! Where a project usually is, as the address of its git remote says.

use model::ProjectPath;

/// The server's address and the project, of `https://host/group/name.git`, `ssh://git@host/…` or
/// `git@host:group/name.git`.
pub(super) fn of_remote(remote: &str) -> Option<(String, ProjectPath)> {
    let (scheme, rest) = match remote.split_once("://") {
        Some((scheme @ ("http" | "https" | "ssh"), rest)) => (scheme, rest.to_owned()),
        Some(_) => return None,
        // `host:path` is short for `ssh://host/path`; a path before the colon is a folder's.
        None => {
            let (host, path) = remote
                .split_once(':')
                .filter(|(host, _)| !host.contains('/'))?;
            ("ssh", format!("{host}/{path}"))
        }
    };
    let (host, path) = rest.split_once('/')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).to_lowercase();
    let server = match scheme {
        // The port is that of SSH.
        "ssh" => format!("https://{}", host.split(':').next().unwrap_or(host)),
        scheme => format!("{scheme}://{host}"),
    };
    Some((server, path.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes() {
        for (remote, expected) in [
            (
                "https://user:secret@example.org:8443/a/b.git",
                Some(("https://example.org:8443", "a/b")),
            ),
            (
                "http://localhost:8080/group/sub/name",
                Some(("http://localhost:8080", "group/sub/name")),
            ),
            (
                "ssh://git@example.org:2222/A/b.git",
                Some(("https://example.org", "a/b")),
            ),
            (
                "git@example.org:group/name.git",
                Some(("https://example.org", "group/name")),
            ),
            ("/srv/git/group/name.git", None),
            ("../other", None),
            ("file:///srv/a/b", None),
            ("https://example.org/name", None),
            ("", None),
        ] {
            let found = of_remote(remote);
            let found = found
                .as_ref()
                .map(|(server, path)| (server.as_str(), path.as_str()));
            assert_eq!(found, expected, "{remote}");
        }
    }
}
