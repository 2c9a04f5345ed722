//! The GitLab runner protocol's messages, for both ends.
//!
//! The server and the built-in runner share these types, and so does every official
//! `gitlab-runner` that talks to our server: field names, the texts of states and the headers are
//! GitLab's (`common/spec` and `network` of gitlab-runner 18). What one end does not know it
//! ignores, and what is absent or null is the field's default. Nothing here does HTTP; nothing here
//! knows what a pipeline is.

mod content;
mod header;
mod job;
mod json;
mod registration;
mod update;

pub use content::{
    Artifact, ArtifactFormat, ArtifactsFile, Cache, CachePolicy, Credentials, Dependency, Image,
    Port, When,
};
pub use header::{ByteRange, ByteRangeError, JobStatus, UnknownJobStatus, name};
pub use job::{
    Features, GitInfo, Hook, JobInfo, JobRequest, JobResponse, RefType, RunnerInfo, Step, StepName,
    Variable,
};
pub use registration::{
    ErrorBody, RegisterRequest, RegisterResponse, RunnerFeatures, TagList, UnregisterRequest,
    VerifyRequest, VersionInfo,
};
pub use update::{FailureReason, JobState, TraceOutput, UpdateRequest, trace_checksum};
