//! Throwaway hosts on this machine: each with its own address, sshd and Docker engine.
//!
//! A host is a set of Linux namespaces with a copy-on-write view of the machine's own files, so it
//! starts in a second and costs what its sshd and its engine cost. The machine's engine is never
//! touched. A lab is no security boundary: root in a host is root on the machine. Files that the
//! machine changes while a host runs may or may not show in it.
//!
//! What exists is asked of the kernel (processes by a mark in their arguments, links by their
//! alias, firewall rules by their comment), so that a lab can be mended or taken down whatever
//! happened to the process that made it. This crate knows nothing of pipelines or deployments.

mod cgroup;
mod engine;
mod error;
mod firewall;
mod folder;
mod forwarding;
mod host;
mod keys;
mod lab;
mod link;
mod machine;
mod name;
mod names_server;
mod process;
mod progress;
mod record;
mod service;
mod share;
mod spec;
mod subnet;
mod tool;

pub use error::Error;
pub use folder::Folder;
pub use host::{Detached, Host, Invocation};
pub use lab::{Lab, Throwaway};
pub use name::{
    Alias, AliasTarget, DomainName, HostName, InvalidName, LabName, RegistryName, ServiceName,
};
pub use progress::Progress;
pub use service::Started;
pub use share::{Share, SharePath};
pub use spec::Spec;
pub use subnet::Subnet;

/// The result of everything that a lab does.
pub type Result<T> = std::result::Result<T, Error>;
