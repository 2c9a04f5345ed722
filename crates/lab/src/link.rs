//! Bridges and links: one bridge a lab, one pair of links a host.
//!
//! The bridge's alias says whose it is, so the kernel itself remembers it for as long as it exists.

use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::folder::Folder;
use crate::name::LabName;
use crate::subnet::{Range, Seat, Subnet};
use crate::tool::Tools;
use crate::{Error, Result, tool};

/// A bridge of this machine.
#[derive(Debug)]
pub(crate) struct Bridge {
    name: String,
    /// The lab's name and folder, from the alias.
    owner: Option<(String, PathBuf)>,
}

impl Bridge {
    pub(crate) fn is_a_labs(&self) -> bool {
        self.owner.is_some()
    }

    fn is_of(&self, lab: &LabName) -> bool {
        self.owner
            .as_ref()
            .is_some_and(|(name, _)| name == lab.as_str())
    }

    /// Made by a lab's process that died before it could say whose it is.
    fn is_orphan(&self) -> bool {
        self.owner.is_none() && Subnet::of_bridge(&self.name).is_some()
    }
}

/// All bridges of this machine.
pub(crate) fn bridges() -> Vec<Bridge> {
    let is_bridge = |name: &String| {
        Path::new("/sys/class/net")
            .join(name)
            .join("bridge")
            .is_dir()
    };
    links()
        .into_iter()
        .filter(is_bridge)
        .map(|name| Bridge {
            owner: owner(&name),
            name,
        })
        .collect()
}

fn links() -> Vec<String> {
    let Ok(entries) = fs_err::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

fn owner(link: &str) -> Option<(String, PathBuf)> {
    let alias = fs_err::read_to_string(format!("/sys/class/net/{link}/ifalias")).ok()?;
    let (name, folder) = alias
        .trim()
        .strip_prefix("lotse lab ")?
        .split_once(" in ")?;
    Some((name.to_owned(), folder.into()))
}

/// The lab's subnet, if its bridge exists.
pub(crate) fn subnet_of(lab: &LabName) -> Option<Subnet> {
    bridges()
        .iter()
        .find(|bridge| bridge.is_of(lab))
        .and_then(|bridge| Subnet::of_bridge(&bridge.name))
}

/// Fails if the lab of this name lives in another folder. A folder that is gone has no lab.
pub(crate) fn check_name_is_free(lab: &LabName, folder: &Folder) -> Result<()> {
    let bridges = bridges();
    let other = bridges
        .iter()
        .filter(|bridge| bridge.is_of(lab))
        .filter_map(|bridge| bridge.owner.as_ref());
    match other
        .map(|(_, path)| path)
        .find(|path| *path != folder.path() && path.join("lab.json").is_file())
    {
        Some(path) => Err(Error::NameTaken {
            name: lab.clone(),
            folder: path.clone(),
        }),
        None => Ok(()),
    }
}

/// Makes the lab's bridge, in the preferred subnet if that is free. The machine's lock must be held.
pub(crate) fn ensure_bridge(
    tools: &Tools<'_>,
    lab: &LabName,
    folder: &Folder,
    preferred: Option<Subnet>,
) -> Result<Subnet> {
    for orphan in bridges().iter().filter(|bridge| bridge.is_orphan()) {
        tools.run("ip", &["link", "delete", "dev", &orphan.name])?;
    }
    let subnet = match subnet_of(lab) {
        Some(subnet) => subnet,
        None => make_bridge(tools, preferred)?,
    };
    let bridge = subnet.bridge();
    say_whose(tools, &bridge, lab, folder)?;
    tools.run(
        "ip",
        &[
            "address",
            "replace",
            &format!("{}/24", subnet.gateway()),
            "dev",
            &bridge,
        ],
    )?;
    tools.run(
        "ip",
        &[
            "link",
            "set",
            "dev",
            &bridge,
            "mtu",
            &mtu().to_string(),
            "up",
        ],
    )?;
    Ok(subnet)
}

fn make_bridge(tools: &Tools<'_>, preferred: Option<Subnet>) -> Result<Subnet> {
    let subnet = Subnet::pick(preferred, &taken()?).ok_or(Error::NoSubnet)?;
    tools.run(
        "ip",
        &["link", "add", "name", &subnet.bridge(), "type", "bridge"],
    )?;
    Ok(subnet)
}

fn say_whose(tools: &Tools<'_>, bridge: &str, lab: &LabName, folder: &Folder) -> Result<()> {
    let alias = format!("lotse lab {lab} in {}", folder.path().display());
    tools
        .run("ip", &["link", "set", "dev", bridge, "alias", &alias])
        .map(drop)
}

fn taken() -> Result<Vec<Range>> {
    let routes = tool::ask("ip", &["-4", "route", "show", "table", "all"])?;
    // `local 192.0.2.2 dev …` and `broadcast …` have the range as their second word.
    let words = routes
        .lines()
        .flat_map(|line| line.split_whitespace().take(2));
    Ok(words.filter_map(Range::parse).collect())
}

/// The largest packet that the machine's way out takes, in bytes.
pub(crate) fn mtu() -> u32 {
    let route = tool::ask("ip", &["-4", "route", "show", "default"]).unwrap_or_default();
    let device = route
        .split_whitespace()
        .skip_while(|word| *word != "dev")
        .nth(1)
        .unwrap_or("lo")
        .to_owned();
    let mtu = fs_err::read_to_string(format!("/sys/class/net/{device}/mtu")).unwrap_or_default();
    mtu.trim()
        .parse::<u32>()
        .map_or(1500, |mtu| mtu.clamp(576, 1500))
}

/// Connects a host's network namespace with the bridge; mends what is there.
pub(crate) fn attach(tools: &Tools<'_>, subnet: Subnet, seat: Seat, host: Pid) -> Result<()> {
    let (link, pid) = (subnet.link(seat), host.as_raw_nonzero().to_string());
    let mtu = mtu().to_string();
    if !is_attached(tools, &link, &pid)? {
        detach(tools, &link)?;
        tools.run(
            "ip",
            &[
                "link", "add", "name", &link, "mtu", &mtu, "type", "veth", "peer", "name", "eth0",
                "mtu", &mtu, "netns", &pid,
            ],
        )?;
    }
    tools.run(
        "ip",
        &[
            "link",
            "set",
            "dev",
            &link,
            "master",
            &subnet.bridge(),
            "up",
        ],
    )?;
    let inside = format!(
        "link set dev lo up\nlink set dev eth0 up\naddress replace {}/24 dev eth0\nroute replace default via {}\n",
        subnet.address(seat),
        subnet.gateway()
    );
    let mut command = tool::command("nsenter");
    command.args(["--target", &pid, "--net", "ip", "-batch", "-"]);
    tool::run_with_input(command, &inside).map(drop)
}

fn is_attached(tools: &Tools<'_>, link: &str, pid: &str) -> Result<bool> {
    Ok(links().iter().any(|known| known == link)
        && tools.succeeds(
            "nsenter",
            &[
                "--target", pid, "--net", "ip", "link", "show", "dev", "eth0",
            ],
        )?)
}

fn detach(tools: &Tools<'_>, link: &str) -> Result<()> {
    if links().iter().any(|known| known == link) {
        tools.run("ip", &["link", "delete", "dev", link])?;
    }
    Ok(())
}

/// Removes the lab's bridge and its hosts' links. The machine's lock must be held.
pub(crate) fn remove(tools: &Tools<'_>, lab: &LabName) -> Result<()> {
    for bridge in bridges()
        .iter()
        .filter(|bridge| bridge.is_of(lab) || bridge.is_orphan())
    {
        let prefix = format!("{}-", bridge.name);
        for link in links().iter().filter(|link| link.starts_with(&prefix)) {
            // A link goes by itself when its host has ended: being late is no failure.
            let _ = tools.succeeds("ip", &["link", "delete", "dev", link])?;
        }
        tools.run("ip", &["link", "delete", "dev", &bridge.name])?;
    }
    Ok(())
}
