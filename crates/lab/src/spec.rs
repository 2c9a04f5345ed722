//! What a user asks a lab to be.

use std::path::PathBuf;

use crate::name::{Alias, HostName, LabName, RegistryName};
use crate::share::Share;

/// A lab to bring up. Bringing it up again adds what is new and takes nothing away.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(crate) name: LabName,
    pub(crate) folder: PathBuf,
    pub(crate) hosts: Vec<HostName>,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) shares: Vec<Share>,
    pub(crate) insecure_registries: Vec<RegistryName>,
}

impl Spec {
    /// A lab without hosts, kept in the usual folder.
    pub fn new(name: LabName) -> Self {
        let folder = crate::Folder::usual(&name);
        Self {
            name,
            folder,
            hosts: Vec::new(),
            aliases: Vec::new(),
            shares: Vec::new(),
            insecure_registries: Vec::new(),
        }
    }

    /// Keeps the lab in this folder, which must be empty, missing or this lab's.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Adds a host.
    pub fn host(mut self, name: HostName) -> Self {
        self.hosts.push(name);
        self
    }

    /// Adds a name that hosts and containers resolve.
    pub fn alias(mut self, alias: Alias) -> Self {
        self.aliases.push(alias);
        self
    }

    /// Adds a folder that several hosts have in common; a host gets it when it starts.
    pub fn share(mut self, share: Share) -> Self {
        self.shares.push(share);
        self
    }

    /// Lets the engines speak plain HTTP to a registry.
    pub fn insecure_registry(mut self, name: RegistryName) -> Self {
        self.insecure_registries.push(name);
        self
    }
}
