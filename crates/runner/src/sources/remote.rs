//! Where sources come from, and how git proves itself there: the token is in its environment, and
//! nowhere else.

use base64::Engine as _;
use model::Secret;
use reqwest::Url;
use runner_api::GitInfo;

use crate::variables::Variables;
use crate::work::WorkError;

/// Where the sources come from, and who asks.
pub(super) struct Remote {
    /// Without user and password.
    url: String,
    /// `https://example.org:8443`, for HTTP.
    origin: Option<String>,
    user: String,
    password: Secret,
}

impl Remote {
    pub(super) fn parse(url: &Secret) -> Result<Self, WorkError> {
        let mut parsed = Url::parse(url.expose()).map_err(|error| {
            WorkError::System(format!("the repository's address is none: {error}"))
        })?;
        let user = parsed.username().to_owned();
        let password = Secret::new(parsed.password().unwrap_or_default());
        // `file:` addresses have neither, and refuse to lose them.
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
        let http = matches!(parsed.scheme(), "http" | "https");
        Ok(Self {
            origin: http.then(|| parsed.origin().ascii_serialization()),
            url: parsed.to_string(),
            user,
            password,
        })
    }

    /// A repository's configuration: all that this runner wants in it. Commands of the script that
    /// speak to `origin` get the job's token from their environment.
    pub(super) fn config(&self, object_format: &str) -> String {
        let (version, extensions) = match object_format {
            "sha256" => (1, "[extensions]\n\tobjectformat = sha256\n"),
            _ => (0, ""),
        };
        let mut config = format!(
            "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\
             \tlogallrefupdates = true\n{extensions}[fetch]\n\trecurseSubmodules = false\n\
             [remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(&self.url)
        );
        if let Some(origin) = &self.origin {
            config.push_str(&format!(
                "[credential {}]\n\tusername = {}\n\thelper =\n\thelper = {}\n",
                quoted(origin),
                quoted(&self.user),
                quoted("!f() { test \"$1\" = get && echo \"password=$CI_JOB_TOKEN\"; }; f"),
            ));
        }
        config
    }

    /// Settings for the runner's own git processes. The token goes along with the first request:
    /// a helper would be asked only after a refused one.
    pub(super) fn environment(&self, variables: &Variables) -> Vec<(String, String)> {
        let mut settings = vec![
            ("gc.auto".to_owned(), "0".to_owned()),
            ("maintenance.auto".to_owned(), "false".to_owned()),
            ("advice.detachedHead".to_owned(), "false".to_owned()),
        ];
        if let (Some(origin), false) = (&self.origin, self.password.expose().is_empty()) {
            settings.push((format!("http.{origin}/.extraHeader"), self.authorization()));
        }
        let given = variables
            .get("GIT_CONFIG_COUNT")
            .and_then(|n| n.parse().ok());
        let given: usize = given.unwrap_or(0);
        let mut environment = vec![
            ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
            (
                "GIT_CONFIG_COUNT".to_owned(),
                (given + settings.len()).to_string(),
            ),
        ];
        for (number, (key, value)) in (given..).zip(settings) {
            environment.push((format!("GIT_CONFIG_KEY_{number}"), key));
            environment.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        }
        environment
    }

    fn authorization(&self) -> String {
        format!(
            "Authorization: Basic {}",
            basic(&self.user, self.password.expose())
        )
    }
}

fn basic(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

/// What a job's log must not show of the way to its sources.
pub(crate) fn secrets(info: &GitInfo) -> Vec<String> {
    match Remote::parse(&info.repo_url) {
        Ok(remote) if !remote.password.expose().is_empty() => vec![
            remote.password.expose().to_owned(),
            basic(&remote.user, remote.password.expose()),
        ],
        _ => Vec::new(),
    }
}

/// A value of git's configuration (`git help config`, "Syntax").
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_the_environment_only() {
        let remote =
            Remote::parse(&"http://gitlab-ci-token:s3cr3t@host:81/a/b.git".into()).unwrap();
        assert_eq!(remote.url, "http://host:81/a/b.git");
        let config = remote.config("sha1");
        assert!(!config.contains("s3cr3t"), "{config}");
        assert!(
            config.contains("[credential \"http://host:81\"]"),
            "{config}"
        );
        let environment = remote.environment(&Variables::default());
        let header = "Authorization: Basic Z2l0bGFiLWNpLXRva2VuOnMzY3IzdA==";
        assert!(environment.iter().any(|(_, value)| value == header));
        assert!(
            environment
                .iter()
                .any(|(_, v)| v == "http.http://host:81/.extraHeader")
        );
    }

    #[test]
    fn settings_follow_those_of_the_job() {
        let mut variables = Variables::default();
        variables.set("GIT_CONFIG_COUNT", "2");
        let remote = Remote::parse(&"file:///srv/a.git".into()).unwrap();
        let environment = remote.environment(&variables);
        assert!(environment.contains(&("GIT_CONFIG_COUNT".to_owned(), "5".to_owned())));
        assert!(environment.contains(&("GIT_CONFIG_KEY_2".to_owned(), "gc.auto".to_owned())));
    }
}
