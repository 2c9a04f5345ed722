//! CPU, memory, processes and disks, from a service's own keys and from `deploy.resources`.

use std::collections::BTreeMap;

use yaml::{Node, Problem};

use super::{Reader, entries, int, items, strings, text, texts};
use crate::project::{
    Blkio, Deploy, DeviceRate, DeviceRequest, DeviceWeight, GpuCount, Limits, Ulimit,
};
use crate::value::{self, Read, scalar_text};

/// A key of a service, and what `deploy.resources` calls the same.
struct Twice<'n> {
    own: &'static str,
    part: Option<&'n Node>,
    key: &'static str,
}

impl Reader<'_, '_> {
    pub(super) fn limits_and_deploy(&mut self, node: &Node) -> (Limits, Deploy) {
        let resources = node
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"));
        let limits = resources.and_then(|resources| resources.get("limits"));
        let reservations = resources.and_then(|resources| resources.get("reservations"));
        let twice = |own, part, key| Twice { own, part, key };
        let limits = Limits {
            nano_cpus: self.twice(node, &twice("cpus", limits, "cpus"), nano_cpus),
            cpu_shares: self.read(node, "cpu_shares", value::integer),
            cpu_quota: int(node, "cpu_quota"),
            cpu_period: int(node, "cpu_period"),
            cpu_rt_runtime: int(node, "cpu_rt_runtime"),
            cpu_rt_period: int(node, "cpu_rt_period"),
            cpuset: text(node, "cpuset"),
            cpu_count: int(node, "cpu_count"),
            cpu_percent: int(node, "cpu_percent"),
            reserved_nano_cpus: reservations.and_then(|part| self.read(part, "cpus", nano_cpus)),
            memory: self.twice(node, &twice("mem_limit", limits, "memory"), value::bytes),
            memory_reservation: self.twice(
                node,
                &twice("mem_reservation", reservations, "memory"),
                value::bytes,
            ),
            memory_swap: self.read(node, "memswap_limit", value::bytes),
            memory_swappiness: int(node, "mem_swappiness"),
            oom_kill_disable: node.get("oom_kill_disable").and_then(Node::as_bool),
            oom_score_adj: int(node, "oom_score_adj"),
            shm_size: self.read(node, "shm_size", value::bytes),
            pids: self.twice(node, &twice("pids_limit", limits, "pids"), value::integer),
            ulimits: self.ulimits(node),
            blkio: self.blkio(node),
            device_requests: self.device_requests(node, reservations),
        };
        (limits, self.deploy(node))
    }

    /// A value that two keys may give, if they agree.
    fn twice(
        &mut self,
        node: &Node,
        twice: &Twice<'_>,
        read: fn(&str) -> Read<i64>,
    ) -> Option<i64> {
        let own = self.read(node, twice.own, read);
        let other = twice.part.and_then(|part| self.read(part, twice.key, read));
        if let (Some(own), Some(other)) = (own, other)
            && own != other
            && let (Some(one), Some(part)) = (node.get(twice.own), twice.part)
        {
            let message = format!(
                "`{}` and `deploy.resources` say different things",
                twice.own
            );
            let place = part.get(twice.key).map_or(part.span, |node| node.span);
            self.add(
                Problem::error("conflict", one.span, message)
                    .note(place, "the other value")
                    .hint("remove one of them"),
            );
        }
        other.or(own)
    }

    pub(super) fn ulimits(&mut self, node: &Node) -> BTreeMap<String, Ulimit> {
        let mut all = BTreeMap::new();
        for entry in entries(node, "ulimits") {
            let both = entry.value.as_int();
            let soft = both.or_else(|| int(&entry.value, "soft"));
            let hard = both.or_else(|| int(&entry.value, "hard"));
            let (Some(soft), Some(hard)) = (soft, hard) else {
                continue;
            };
            if hard != -1 && (soft > hard || soft == -1) {
                let message = format!("the soft limit of `{}` is over the hard one", entry.key);
                self.error(
                    "value",
                    entry.value.span,
                    message,
                    "raise `hard`, or lower `soft`",
                );
            }
            all.insert(entry.key.to_string(), Ulimit { soft, hard });
        }
        all
    }

    fn blkio(&mut self, node: &Node) -> Blkio {
        let Some(node) = node.get("blkio_config") else {
            return Blkio::default();
        };
        let weight =
            |node: &Node| int(node, "weight").and_then(|weight| u16::try_from(weight).ok());
        let weights = items(node, "weight_device").iter().filter_map(|item| {
            Some(DeviceWeight {
                path: text(item, "path")?,
                weight: weight(item)?,
            })
        });
        Blkio {
            weight: weight(node),
            weight_device: weights.collect(),
            device_read_bps: rates(node, "device_read_bps"),
            device_read_iops: rates(node, "device_read_iops"),
            device_write_bps: rates(node, "device_write_bps"),
            device_write_iops: rates(node, "device_write_iops"),
        }
    }

    fn device_requests(&mut self, node: &Node, reservations: Option<&Node>) -> Vec<DeviceRequest> {
        let mut all = Vec::new();
        for item in reservations.map_or(&[][..], |part| items(part, "devices")) {
            let request = self.device_request(item);
            if texts(item, "capabilities").is_empty() {
                let message = "a device needs `capabilities`";
                self.error("missing", item.span, message, "write `capabilities: [gpu]`");
            }
            all.extend(request);
        }
        for item in items(node, "gpus") {
            let request = self.device_request(item);
            all.extend(request.map(|mut request| {
                if request.capabilities.is_empty() {
                    request.capabilities.push("gpu".to_owned());
                }
                request
            }));
        }
        all
    }

    fn device_request(&mut self, node: &Node) -> Option<DeviceRequest> {
        let device_ids = texts(node, "device_ids");
        let count = match node.get("count") {
            None if device_ids.is_empty() => Some(GpuCount::All),
            None => None,
            Some(written) => {
                let text = scalar_text(written).unwrap_or_default();
                let count = match text.as_str() {
                    "all" | "-1" => Some(GpuCount::All),
                    number => number.parse().ok().map(GpuCount::Count),
                };
                if count.is_none() || !device_ids.is_empty() {
                    let message = "`count` is a number or `all`, and excludes `device_ids`";
                    self.error(
                        "value",
                        written.span,
                        message,
                        "write `count: all`, `count: 1`, or `device_ids: […]` alone",
                    );
                    return None;
                }
                count
            }
        };
        Some(DeviceRequest {
            driver: text(node, "driver"),
            count,
            device_ids,
            capabilities: texts(node, "capabilities"),
            options: strings(node, "options"),
        })
    }
}

fn rates(node: &Node, key: &str) -> Vec<DeviceRate> {
    let rate = |item: &Node| {
        Some(DeviceRate {
            path: text(item, "path")?,
            rate: u64::try_from(int(item, "rate")?).ok()?,
        })
    };
    items(node, key).iter().filter_map(rate).collect()
}

/// A number of CPUs, in billionths.
fn nano_cpus(text: &str) -> Read<i64> {
    let cpus = value::number(text)?;
    match (0.0..1e6).contains(&cpus) {
        true => Ok((cpus * 1e9).round() as i64),
        false => Err(value::Wrong {
            message: format!("`{text}` is no number of CPUs"),
            hint: "write a number like `0.5` or `2`".to_owned(),
        }),
    }
}
