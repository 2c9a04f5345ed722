//! What a lab remembers about itself: `lab.json` in its folder.
//!
//! It holds what cannot be asked of the kernel: which hosts belong to the lab and where they sit.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::name::{Alias, AliasTarget, HostName, LabName, RegistryName};
use crate::share::{Share, SharePath};
use crate::subnet::{SEATS, Seat, Subnet};
use crate::{Error, Result, Spec};

/// The row of one host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    pub(crate) name: HostName,
    pub(crate) seat: Seat,
}

/// The whole of `lab.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: LabName,
    pub(crate) subnet: Option<Subnet>,
    pub(crate) hosts: Vec<HostRecord>,
    pub(crate) aliases: Vec<Alias>,
    #[serde(default)]
    pub(crate) shares: Vec<Share>,
    pub(crate) insecure_registries: Vec<RegistryName>,
}

impl Record {
    pub(crate) fn new(name: LabName) -> Self {
        Self {
            name,
            subnet: None,
            hosts: Vec::new(),
            aliases: Vec::new(),
            shares: Vec::new(),
            insecure_registries: Vec::new(),
        }
    }

    /// Adds what the spec asks for beyond what is there.
    pub(crate) fn add(&mut self, spec: &Spec) -> Result<()> {
        for name in &spec.hosts {
            self.add_host(name)?;
        }
        for alias in &spec.aliases {
            self.aliases.retain(|known| known.name != alias.name);
            self.aliases.push(alias.clone());
        }
        for share in &spec.shares {
            self.add_share(share);
        }
        for registry in &spec.insecure_registries {
            if !self.insecure_registries.contains(registry) {
                self.insecure_registries.push(registry.clone());
            }
        }
        self.check()
    }

    fn add_host(&mut self, name: &HostName) -> Result<()> {
        if self.hosts.iter().any(|host| host.name == *name) {
            return Ok(());
        }
        let is_free = |seat: &u8| !self.hosts.iter().any(|host| host.seat == Seat(*seat));
        let seat = SEATS.into_iter().find(is_free).ok_or_else(|| Error::Full {
            name: self.name.clone(),
        })?;
        self.hosts.push(HostRecord {
            name: name.clone(),
            seat: Seat(seat),
        });
        Ok(())
    }

    fn add_share(&mut self, share: &Share) {
        match self
            .shares
            .iter_mut()
            .find(|known| known.path == share.path)
        {
            Some(known) => {
                let is_new = |host: &&HostName| !known.hosts.contains(host);
                let new: Vec<_> = share.hosts.iter().filter(is_new).cloned().collect();
                known.hosts.extend(new);
            }
            None => self.shares.push(share.clone()),
        }
    }

    /// The folders that a host has in common with others.
    pub(crate) fn shares_of(&self, host: &HostName) -> Vec<&SharePath> {
        let has = |share: &&Share| share.hosts.contains(host);
        self.shares
            .iter()
            .filter(has)
            .map(|share| &share.path)
            .collect()
    }

    fn check(&self) -> Result<()> {
        if self.hosts.is_empty() {
            return Err(Error::NoHosts {
                name: self.name.clone(),
            });
        }
        let is_known = |name: &HostName| self.hosts.iter().any(|host| host.name == *name);
        for share in &self.shares {
            if let Some(host) = share.hosts.iter().find(|host| !is_known(host)) {
                return Err(Error::ShareHost {
                    path: share.path.clone(),
                    host: host.clone(),
                });
            }
        }
        match self
            .aliases
            .iter()
            .find(|alias| matches!(&alias.target, AliasTarget::Host(host) if !is_known(host)))
        {
            Some(alias) => Err(Error::AliasTarget {
                alias: alias.name.to_string(),
                target: alias.target.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// The names of the lab in the format of `/etc/hosts`.
    pub(crate) fn names(&self, subnet: Subnet) -> String {
        let mut lines = format!("{} lotse.lab gateway gateway.lab\n", subnet.gateway());
        for host in &self.hosts {
            lines.push_str(&format!(
                "{} {name} {name}.lab\n",
                subnet.address(host.seat),
                name = host.name
            ));
        }
        for alias in &self.aliases {
            if let Some(address) = self.address_of(&alias.target, subnet) {
                lines.push_str(&format!("{address} {}\n", alias.name));
            }
        }
        lines
    }

    fn address_of(&self, target: &AliasTarget, subnet: Subnet) -> Option<Ipv4Addr> {
        match target {
            AliasTarget::Gateway => Some(subnet.gateway()),
            AliasTarget::Address(address) => Some(*address),
            AliasTarget::Host(name) => self
                .hosts
                .iter()
                .find(|host| host.name == *name)
                .map(|host| subnet.address(host.seat)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(hosts: &[&str], aliases: &[&str]) -> Spec {
        let mut spec = Spec::new("demo".parse().unwrap());
        for host in hosts {
            spec = spec.host(host.parse().unwrap());
        }
        for alias in aliases {
            spec = spec.alias(alias.parse().unwrap());
        }
        spec
    }

    #[test]
    fn up_adds_and_never_moves_a_host() {
        let mut record = Record::new("demo".parse().unwrap());
        record
            .add(&spec(&["build", "one"], &["r.example=gateway"]))
            .unwrap();
        record
            .add(&spec(&["two", "build"], &["r.example=one"]))
            .unwrap();
        let names = record.names(Subnet::of_bridge("lotse-3").unwrap());
        assert_eq!(
            names,
            "10.87.3.1 lotse.lab gateway gateway.lab\n10.87.3.11 build build.lab\n10.87.3.12 one one.lab\n\
             10.87.3.13 two two.lab\n10.87.3.12 r.example\n"
        );
    }

    #[test]
    fn a_lab_needs_hosts_and_aliases_that_point_somewhere() {
        let add = |hosts: &[&str], aliases: &[&str]| {
            Record::new("demo".parse().unwrap()).add(&spec(hosts, aliases))
        };
        assert!(matches!(add(&[], &[]), Err(Error::NoHosts { .. })));
        assert!(matches!(
            add(&["a"], &["x.example=b"]),
            Err(Error::AliasTarget { .. })
        ));
    }

    #[test]
    fn a_share_gets_further_hosts_that_the_lab_has() {
        let mut record = Record::new("demo".parse().unwrap());
        let share = |text: &str| spec(&["one", "two"], &[]).share(text.parse().unwrap());
        record.add(&share("/storage=one")).unwrap();
        record.add(&share("/storage=two,one")).unwrap();
        assert_eq!(record.shares, ["/storage=one,two".parse().unwrap()]);
        assert_eq!(record.shares_of(&"two".parse().unwrap()).len(), 1);
        assert!(matches!(
            record.add(&share("/storage=three")),
            Err(Error::ShareHost { .. })
        ));
    }
}
