//! Making a runner known to a server, and forgotten again.

use std::path::PathBuf;

use model::Secret;
use runner_api::{RegisterRequest, RunnerFeatures, TagList, VerifyRequest, VersionInfo};

use crate::client::{Client, ClientError};
use crate::config::RunnerConfig;

/// Tokens of this prefix belong to a runner that exists already.
const RUNNER_TOKEN_PREFIX: &str = "glrt-";

/// What a new runner shall be.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The server.
    pub url: String,
    /// A registration token, or the token (`glrt-…`) of a runner that was made on the server.
    pub token: Secret,
    /// What people call it.
    pub name: String,
    /// Which jobs are for it; for a `glrt-` token the server knows them already.
    pub tags: Vec<String>,
    /// Whether it takes jobs without tags; `None` is: when it has no tags.
    pub run_untagged: Option<bool>,
    /// How many jobs at a time.
    pub concurrent: u32,
    /// Where sources are checked out.
    pub directory: PathBuf,
    /// Certificates to trust beyond the system's.
    pub ca_file: Option<PathBuf>,
}

/// Registers a runner, and returns its entry for the configuration.
///
/// # Errors
/// When the server cannot be reached, or does not like the token.
pub async fn register(registration: &Registration) -> Result<RunnerConfig, ClientError> {
    let client = Client::new(&registration.url, registration.ca_file.as_deref())?;
    let system_id = Secret::random("s_").expose()[..14].to_owned();
    let answer = if registration.token.expose().starts_with(RUNNER_TOKEN_PREFIX) {
        let request = VerifyRequest {
            token: registration.token.clone(),
            system_id: system_id.clone(),
            info: version_info(),
        };
        client.verify(&request).await?
    } else {
        client.register(&request(registration)).await?
    };
    Ok(RunnerConfig {
        name: registration.name.clone(),
        url: registration.url.trim_end_matches('/').to_owned(),
        id: answer.id,
        token: answer.token,
        system_id,
        concurrent: registration.concurrent,
        directory: registration.directory.clone(),
        shell: None,
        output_limit_kib: 4096,
        ca_file: registration.ca_file.clone(),
        environment: std::collections::BTreeMap::new(),
    })
}

fn request(registration: &Registration) -> RegisterRequest {
    let untagged = registration.tags.is_empty();
    RegisterRequest {
        token: registration.token.clone(),
        description: registration.name.clone(),
        tag_list: TagList(registration.tags.clone()),
        run_untagged: Some(registration.run_untagged.unwrap_or(untagged)),
        info: version_info(),
        ..RegisterRequest::default()
    }
}

/// Asks the server whether the runner's token is still good.
///
/// # Errors
/// When it is not, or the server cannot be reached.
pub async fn verify(runner: &RunnerConfig) -> Result<(), ClientError> {
    let request = VerifyRequest {
        token: runner.token.clone(),
        system_id: runner.system_id.clone(),
        info: version_info(),
    };
    Client::of(runner)?.verify(&request).await.map(drop)
}

/// Tells the server to forget the runner.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub async fn unregister(runner: &RunnerConfig) -> Result<(), ClientError> {
    Client::of(runner)?.unregister(&runner.token).await
}

/// What this runner says of itself.
pub(crate) fn version_info() -> VersionInfo {
    VersionInfo {
        name: "lotse-runner".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: String::new(),
        platform: std::env::consts::OS.to_owned(),
        architecture: architecture().to_owned(),
        executor: "shell".to_owned(),
        shell: "bash".to_owned(),
        features: RunnerFeatures {
            variables: true,
            artifacts: true,
            artifacts_exclude: true,
            upload_multiple_artifacts: true,
            upload_raw_artifacts: true,
            shared: true,
            refspecs: true,
            masking: true,
            raw_variables: true,
            multi_build_steps: true,
            trace_reset: true,
            trace_checksum: true,
            trace_size: true,
            cancelable: true,
            cancel_gracefully: true,
            return_exit_code: true,
            ..RunnerFeatures::default()
        },
    }
}

/// Go's word for the processor, as GitLab and image platforms use it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
