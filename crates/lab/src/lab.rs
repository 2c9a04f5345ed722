//! The lab as a whole: up, look, down.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Instant;

use crate::host::{self, Host};
use crate::keys::Keys;
use crate::machine::{MachineLock, require_root};
use crate::name::LabName;
use crate::process::{Mark, end_all};
use crate::record::{HostRecord, Record};
use crate::subnet::Subnet;
use crate::tool::Tools;
use crate::{
    Error, Folder, Progress, Result, Spec, cgroup, firewall, folder, forwarding, link,
    names_server, tool,
};

/// A lab that was brought up. It stays when this value goes.
#[derive(Clone, Debug)]
pub struct Lab {
    folder: Folder,
    record: Record,
    subnet: Subnet,
}

/// A lab that is taken down when this value goes.
#[derive(Debug)]
pub struct Throwaway(Lab);

impl Lab {
    /// Makes the lab, or adds to it and mends it: what is there and healthy is left alone.
    ///
    /// # Errors
    /// See [`Error`]. After any of them `up` can be tried again, and `down` removes what there is.
    pub fn up(spec: &Spec) -> Result<Self> {
        Self::up_telling(spec, &|_| ())
    }

    /// [`Lab::up`], with a call for each step that is done; hosts come up side by side.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn up_telling(spec: &Spec, tell: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Self> {
        require_root()?;
        tool::require_all()?;
        link::check_name_is_free(&spec.name, &Folder::at(&spec.folder)?)?;
        let (folder, lock) = locked(spec)?;
        let tools = lock.tools();
        let mut record =
            record_of(&folder, &spec.name)?.unwrap_or_else(|| Record::new(spec.name.clone()));
        record.add(spec)?;
        folder.save(&record)?;
        let subnet = network_up(&tools, &folder, &mut record)?;
        Keys::of(&folder).ensure(&tools, &record, subnet)?;
        names_server::ensure(&tools, &folder, &record, subnet)?;
        tell(Progress::Network {
            subnet,
            gateway: subnet.gateway(),
        });
        let lab = Self {
            folder,
            record,
            subnet,
        };
        lab.hosts_up(&tools, tell)?;
        Ok(lab)
    }

    /// The lab in a folder, as it is.
    ///
    /// # Errors
    /// Fails where there is no lab that was up.
    pub fn open(name: &LabName, folder: &Path) -> Result<Self> {
        require_root()?;
        let folder = Folder::at(folder)?;
        let missing = || Error::NoSuchLab {
            name: name.clone(),
            folder: folder.path().to_owned(),
        };
        let record = record_of(&folder, name)?.ok_or_else(missing)?;
        let subnet = record.subnet.ok_or_else(missing)?;
        Ok(Self {
            folder,
            record,
            subnet,
        })
    }

    /// Every lab in the usual place.
    ///
    /// # Errors
    /// Fails if a record cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        require_root()?;
        let mut labs = Vec::new();
        for folder in Folder::all() {
            if let Some(record) = folder.load()?
                && let Some(subnet) = record.subnet
            {
                labs.push(Self {
                    folder,
                    record,
                    subnet,
                });
            }
        }
        Ok(labs)
    }

    /// Ends and removes everything of the lab.
    ///
    /// # Errors
    /// As [`Lab::remove`].
    pub fn down(self) -> Result<()> {
        Self::remove(&self.record.name, self.folder.path())
    }

    /// Ends and removes everything of the lab of this name, however much of it there is: safe after
    /// a crash, and when there is nothing.
    ///
    /// # Errors
    /// Fails if something could not be removed; then it can be tried again.
    pub fn remove(name: &LabName, folder: &Path) -> Result<()> {
        require_root()?;
        let folder = Folder::at(folder)?;
        link::check_name_is_free(name, &folder)?;
        let lock = folder.lock()?;
        let tools = lock.as_ref().map_or(Tools(None), folder::Lock::tools);
        // A record that cannot be read is no reason to keep the lab.
        if let Err(taken @ Error::FolderTaken { .. }) = record_of(&folder, name) {
            return Err(taken);
        }
        end_all(name, &Mark::AnyOf(name.clone()))?;
        for host in folder.hosts() {
            host::end(&folder, name, &host)?;
        }
        network_down(&tools, name)?;
        cgroup::remove(name)?;
        if folder.is_a_labs() {
            folder.remove()
        } else {
            Ok(())
        }
    }

    /// Switches a host off as if its power were cut. Its files stay, and `up` switches it on again.
    ///
    /// # Errors
    /// Fails if the lab has no such host, or if a process of it does not end.
    pub fn stop(&self, name: &str) -> Result<()> {
        let host = self.host(name)?;
        let _lock = self.folder.lock()?;
        host::end(&self.folder, self.name(), host.name()).map(drop)
    }

    /// Takes the lab down when the value goes.
    pub fn throwaway(self) -> Throwaway {
        Throwaway(self)
    }

    /// The lab's name.
    pub fn name(&self) -> &LabName {
        &self.record.name
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The lab's address range.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// This machine's address as the hosts see it; they call it `lotse.lab` and `gateway`.
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.gateway()
    }

    /// All hosts, in the order in which they were added.
    pub fn hosts(&self) -> Vec<Host> {
        self.record
            .hosts
            .iter()
            .map(|host| self.host_of(host))
            .collect()
    }

    /// The host of this name.
    ///
    /// # Errors
    /// Fails if there is none, naming those there are.
    pub fn host(&self, name: &str) -> Result<Host> {
        let host = self
            .record
            .hosts
            .iter()
            .find(|host| host.name.as_str() == name);
        host.map(|host| self.host_of(host))
            .ok_or_else(|| Error::NoSuchHost {
                lab: self.record.name.clone(),
                host: name.to_owned(),
                known: self
                    .record
                    .hosts
                    .iter()
                    .map(|host| host.name.to_string())
                    .collect(),
            })
    }

    /// Puts a copy of an executable into every host, as `/lab/bin/NAME`, first in their `PATH`.
    ///
    /// # Errors
    /// Fails if it cannot be read or written.
    pub fn share_executable(&self, source: &Path, name: &str) -> Result<()> {
        let content = fs_err::read(source).map_err(Error::file(
            "read the executable to be shared with the lab's hosts",
        ))?;
        let target = self.folder.shared().join("bin").join(name);
        if fs_err::read(&target).is_ok_and(|known| known == content) {
            return Ok(());
        }
        folder::replace(&target, &content, 0o755)
            .map_err(Error::file("share an executable with the lab's hosts"))
    }

    fn host_of(&self, record: &HostRecord) -> Host {
        Host {
            lab: self.record.name.clone(),
            folder: self.folder.clone(),
            subnet: self.subnet,
            record: record.clone(),
        }
    }

    /// All hosts side by side; the first error counts, after all are done.
    fn hosts_up(&self, tools: &Tools<'_>, tell: &(dyn Fn(Progress<'_>) + Sync)) -> Result<()> {
        let hosts = self.hosts();
        thread::scope(|scope| {
            let threads: Vec<_> = hosts
                .iter()
                .map(|host| scope.spawn(|| self.host_up(tools, host, tell)))
                .collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            results.into_iter().try_for_each(|result| {
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    }

    fn host_up(
        &self,
        tools: &Tools<'_>,
        host: &Host,
        tell: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<()> {
        let begin = Instant::now();
        let started = host.up(tools, &self.record)?;
        tell(Progress::HostReady {
            host: host.name(),
            address: host.address(),
            started: &started,
            took: begin.elapsed(),
        });
        Ok(())
    }
}

impl std::ops::Deref for Throwaway {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        if let Err(error) = self.0.clone().down() {
            tracing::error!(lab = %self.0.record.name, %error, "the lab was not taken down");
        }
    }
}

/// The record in a folder, if there is one; it must be the lab's of this name.
fn record_of(folder: &Folder, name: &LabName) -> Result<Option<Record>> {
    match folder.load()? {
        Some(record) if record.name != *name => Err(Error::FolderTaken {
            name: record.name,
            folder: folder.path().to_owned(),
        }),
        record => Ok(record),
    }
}

/// The folder, made and locked. The former holder of the lock may have removed it: then again.
fn locked(spec: &Spec) -> Result<(Folder, folder::Lock)> {
    loop {
        let folder = Folder::create(&spec.folder)?;
        if let Some(lock) = folder.lock()? {
            return Ok((folder, lock));
        }
    }
}

fn network_up(tools: &Tools<'_>, folder: &Folder, record: &mut Record) -> Result<Subnet> {
    let _lock = MachineLock::acquire()?;
    let subnet = link::ensure_bridge(tools, &record.name, folder, record.subnet)?;
    if record.subnet != Some(subnet) {
        names_server::stop(record)?;
        firewall::remove(tools, &record.name)?;
        record.subnet = Some(subnet);
        folder.save(record)?;
    }
    firewall::ensure(tools, &record.name, subnet)?;
    forwarding::turn_on()?;
    Ok(subnet)
}

fn network_down(tools: &Tools<'_>, name: &LabName) -> Result<()> {
    let _lock = MachineLock::acquire()?;
    link::remove(tools, name)?;
    firewall::remove(tools, name)?;
    forwarding::give_back()
}
