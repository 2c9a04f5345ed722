//! How a runner gets to know a server: register, verify, unregister, and what it says of itself.

use model::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::null_as_default;

/// `POST /api/v4/runners`, with a registration token; answered 201 or 403.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The registration token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: Secret,
    /// What people call the runner.
    #[serde(default, deserialize_with = "null_as_default")]
    pub description: String,
    /// A remark for those who look after it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub maintenance_note: String,
    /// Jobs with these tags are for it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tag_list: TagList,
    /// Whether it takes jobs without tags. Absent means: when it has no tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_untagged: Option<bool>,
    /// Whether it stays with the project that it was registered for.
    #[serde(default, deserialize_with = "null_as_default")]
    pub locked: bool,
    /// `not_protected` or `ref_protected`; empty is `not_protected`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub access_level: String,
    /// No job of it may run longer, in seconds; 0 is no limit of its own.
    #[serde(default, deserialize_with = "null_as_default")]
    pub maximum_timeout: u64,
    /// Registered, but gets no jobs yet.
    #[serde(default, deserialize_with = "null_as_default")]
    pub paused: bool,
    /// What the runner is.
    #[serde(default, deserialize_with = "null_as_default")]
    pub info: VersionInfo,
}

/// The answer to [`RegisterRequest`] (201) and to [`VerifyRequest`] (200).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterResponse {
    /// The runner's number; never 0, which the official runner takes for "no answer".
    pub id: i64,
    /// The runner's own token from now on.
    pub token: Secret,
    /// When the token ends, RFC 3339; `None` is never.
    #[serde(default)]
    pub token_expires_at: Option<String>,
}

/// `POST /api/v4/runners/verify`: is this token good? Answered 200 or 403.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// The runner's token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: Secret,
    /// Which machine asks: one token may serve several.
    #[serde(default, deserialize_with = "null_as_default")]
    pub system_id: String,
    /// What the runner is.
    #[serde(default, deserialize_with = "null_as_default")]
    pub info: VersionInfo,
}

/// `DELETE /api/v4/runners`: forget this runner. Answered 204 or 403.
///
/// With a `system_id` on `DELETE /api/v4/runners/managers` only that machine is forgotten.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UnregisterRequest {
    /// The runner's token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: Secret,
    /// Which machine.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub system_id: String,
}

/// What a runner says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionInfo {
    /// The program: `gitlab-runner`, `lotse`.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Its version.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The commit it was built from.
    #[serde(deserialize_with = "null_as_default")]
    pub revision: String,
    /// `linux`.
    #[serde(deserialize_with = "null_as_default")]
    pub platform: String,
    /// `amd64`, `arm64`.
    #[serde(deserialize_with = "null_as_default")]
    pub architecture: String,
    /// `shell`, `docker`.
    #[serde(deserialize_with = "null_as_default")]
    pub executor: String,
    /// `bash`, `sh`.
    #[serde(deserialize_with = "null_as_default")]
    pub shell: String,
    /// What it can do.
    #[serde(deserialize_with = "null_as_default")]
    pub features: RunnerFeatures,
}

/// What a runner can do; GitLab gives a job only to a runner that can do what the job needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "GitLab's names are all there is to say")]
pub struct RunnerFeatures {
    pub variables: bool,
    pub image: bool,
    pub services: bool,
    pub artifacts: bool,
    pub cache: bool,
    pub fallback_cache_keys: bool,
    pub shared: bool,
    pub upload_multiple_artifacts: bool,
    pub upload_raw_artifacts: bool,
    pub session: bool,
    pub terminal: bool,
    pub refspecs: bool,
    pub masking: bool,
    pub proxy: bool,
    pub raw_variables: bool,
    pub artifacts_exclude: bool,
    pub multi_build_steps: bool,
    pub trace_reset: bool,
    pub trace_checksum: bool,
    pub trace_size: bool,
    pub vault_secrets: bool,
    pub cancelable: bool,
    pub return_exit_code: bool,
    pub service_variables: bool,
    pub service_multiple_aliases: bool,
    pub image_executor_opts: bool,
    pub service_executor_opts: bool,
    pub cancel_gracefully: bool,
    pub native_steps_integration: bool,
}

/// Tags, on the wire one text with commas between them; a list is read as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagList(pub Vec<String>);

impl TagList {
    /// Splits at commas; empty tags and double ones are left out.
    pub fn parse(text: &str) -> Self {
        Self::new(text.split(','))
    }

    fn new<'a>(tags: impl Iterator<Item = &'a str>) -> Self {
        let mut list = Vec::new();
        for tag in tags.map(str::trim).filter(|tag| !tag.is_empty()) {
            if !list.iter().any(|known| known == tag) {
                list.push(tag.to_owned());
            }
        }
        Self(list)
    }
}

impl Serialize for TagList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.join(","))
    }
}

impl<'de> Deserialize<'de> for TagList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            List(Vec<String>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::parse(&text),
            Either::List(list) => Self::new(list.iter().map(String::as_str)),
        })
    }
}

/// The body of a refusal; the official runner shows `message` to its user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong and how to mend it.
    #[serde(default)]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_official_runner_sends() {
        let request: RegisterRequest = serde_json::from_str(
            r#"{"description":"r1","tag_list":"shell, prod01,,shell","run_untagged":false,
                "locked":true,"paused":false,"token":"GR1348941x","unknown":{"a":1},
                "info":{"name":"gitlab-runner","version":"18.0.0","config":{"gpus":""},
                        "features":{"variables":true,"newer":true}}}"#,
        )
        .unwrap();
        assert_eq!(request.tag_list.0, ["shell", "prod01"]);
        assert_eq!(request.run_untagged, Some(false));
        assert!(request.info.features.variables);
        assert_eq!(request.token.expose(), "GR1348941x");
    }

    #[test]
    fn tags_as_a_list_or_nothing() {
        let list: TagList = serde_json::from_str(r#"["a","b"]"#).unwrap();
        assert_eq!(list.0, ["a", "b"]);
        let request: RegisterRequest = serde_json::from_str(r#"{"tag_list":null}"#).unwrap();
        assert!(request.tag_list.0.is_empty());
        assert_eq!(request.run_untagged, None);
    }
}
