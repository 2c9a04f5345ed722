//! Addresses of components: `host/group/project/name@version` (GitLab, "CI/CD components").
//!
//! Which tag a version means is decided here; whoever fetches says which tags there are.

use std::str::FromStr;

use crate::ComponentFacts;

/// Where a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentAddress {
    /// The server, with its port if it is not the usual one: `$CI_SERVER_FQDN`.
    pub host: String,
    /// `group/project`.
    pub project: String,
    /// Its name in the project.
    pub name: String,
    /// Which state of the project.
    pub version: ComponentVersion,
}

/// Which state of a project a component is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentVersion {
    /// `~latest`: the highest tag that is a version, but for those before a release (`1.0.0-rc1`).
    Latest,
    /// `1` or `1.2`: the highest tag of those versions. If there is none: the ref of this name.
    Partial(String),
    /// A commit, tag or branch.
    Ref(String),
}

impl ComponentAddress {
    /// What the component may know of itself, when `version` was found.
    pub fn facts(&self, version: &str) -> ComponentFacts {
        ComponentFacts {
            name: self.name.clone(),
            version: version.to_owned(),
            reference: self.version.as_str().to_owned(),
        }
    }

    /// The paths in the project at which the component may be, the usual one first.
    pub fn files(&self) -> [String; 2] {
        let name = &self.name;
        [
            format!("templates/{name}.yml"),
            format!("templates/{name}/template.yml"),
        ]
    }
}

impl FromStr for ComponentAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = || {
            let (path, version) = text.rsplit_once('@')?;
            let (host, path) = path.split_once('/')?;
            let (project, name) = path.rsplit_once('/')?;
            let whole = project.contains('/') && !host.is_empty() && !version.is_empty();
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let named = !name.is_empty() && name.chars().all(word) && !name.starts_with('.');
            (whole && named).then(|| Self {
                host: host.to_owned(),
                project: project.to_owned(),
                name: name.to_owned(),
                version: ComponentVersion::of(version),
            })
        };
        parts().ok_or_else(|| format!("`{text}` is no address of a component"))
    }
}

impl ComponentVersion {
    fn of(text: &str) -> Self {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let parts: Vec<&str> = text.split('.').collect();
        match text {
            "~latest" => Self::Latest,
            _ if parts.len() <= 2 && parts.iter().all(|part| number(part)) => {
                Self::Partial(text.to_owned())
            }
            _ => Self::Ref(text.to_owned()),
        }
    }

    /// What follows the `@`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Latest => "~latest",
            Self::Partial(text) | Self::Ref(text) => text,
        }
    }

    /// The commit, tag or branch that is meant, when the project has these tags.
    pub fn choose<'t>(&'t self, tags: impl IntoIterator<Item = &'t str>) -> Option<&'t str> {
        let wanted: Vec<u64> = match self {
            Self::Ref(name) => return Some(name),
            Self::Partial(text) => text
                .split('.')
                .filter_map(|part| part.parse().ok())
                .collect(),
            Self::Latest => Vec::new(),
        };
        let versions = tags
            .into_iter()
            .filter_map(|tag| Some((released(tag)?, tag)));
        let fitting = versions.filter(|(version, _)| version.starts_with(&wanted));
        let highest = fitting.max_by_key(|(version, _)| *version);
        match (highest, self) {
            (Some((_, tag)), _) => Some(tag),
            (None, Self::Partial(name)) => Some(name),
            (None, _) => None,
        }
    }
}

/// The numbers of a tag that is a version and not one before a release: `1.2.3`, `v1.2.3`, `1.2.3+4`.
fn released(tag: &str) -> Option<[u64; 3]> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let mut numbers = text.split('.').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("h/g/p/name@1.0.0", Some(("h", "g/p", "name"))),
            ("h:8929/g/s/p/sast@main", Some(("h:8929", "g/s/p", "sast"))),
            ("h/p/name@1", None),
            ("h/g/p/name", None),
            ("h/g/p/@1", None),
            ("h/g/p/..@1", None),
            ("h/g/p/name@", None),
            ("/g/p/name@1", None),
            ("", None),
        ] {
            let parsed = text.parse::<ComponentAddress>().ok();
            let parts = parsed.as_ref().map(|address| {
                let project = address.project.as_str();
                (address.host.as_str(), project, address.name.as_str())
            });
            assert_eq!(parts, expected, "{text}");
        }
    }

    #[test]
    fn versions() {
        let tags = [
            "1.0.0",
            "1.2.9",
            "v1.10.0",
            "2.0.0",
            "2.1.0-rc1",
            "odd",
            "10",
        ];
        for (version, expected) in [
            ("~latest", Some("2.0.0")),
            ("1", Some("v1.10.0")),
            ("1.2", Some("1.2.9")),
            ("3", Some("3")),
            ("10", Some("10")),
            ("2.1.0-rc1", Some("2.1.0-rc1")),
            ("main", Some("main")),
        ] {
            let version = ComponentVersion::of(version);
            assert_eq!(version.choose(tags), expected, "{version:?}");
        }
        assert_eq!(ComponentVersion::Latest.choose([]), None);
        assert_eq!(
            ComponentVersion::Latest.choose(["99999999999999999999.0.0"]),
            None
        );
    }
}
