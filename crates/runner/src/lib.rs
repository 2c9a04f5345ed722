//! Takes a job, executes it in a shell, streams log and artifacts.
//!
//! The runner knows a server only through GitLab's runner protocol over HTTP, so it works for any
//! GitLab as it does for ours, on the same machine or another. It never sees YAML: what to do
//! comes as a finished script, and nothing here knows pipelines or stages.

mod config;
mod defaults;
mod desk;
mod register;
mod runner;

mod job;
mod limits;
mod surroundings;
mod work;

mod artifacts;
mod environment;
mod leftovers;
mod process;
mod script;
mod sources;
mod tree;
mod variables;

mod backoff;
mod client;
mod log;
mod mask;
mod tls;
mod upload;

pub use client::{ClientError, is_this_machine};
pub use config::{Config, ConfigError, RunnerConfig};
pub use defaults::{default_config, default_directory, machine_name};
pub use leftovers::end_processes_of;
pub use register::{Registration, register, unregister, verify};
pub use runner::{Runner, RunnerError, Shutdown};
pub use tls::TlsError;
