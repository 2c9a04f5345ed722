//! CPU, memory, processes and disks of a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a container may use, from the service's own keys and from `deploy.resources`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// CPUs, in billionths.
    pub nano_cpus: Option<i64>,
    /// Weight against other containers; 1024 is usual.
    pub cpu_shares: Option<i64>,
    /// Microseconds of CPU time in a period.
    pub cpu_quota: Option<i64>,
    /// The period, in microseconds.
    pub cpu_period: Option<i64>,
    /// Microseconds of real-time CPU time in a period.
    pub cpu_rt_runtime: Option<i64>,
    /// The real-time period, in microseconds.
    pub cpu_rt_period: Option<i64>,
    /// CPUs it may use: `0-3,5`.
    pub cpuset: Option<String>,
    /// Number of CPUs (Windows).
    pub cpu_count: Option<i64>,
    /// Percent of CPUs (Windows).
    pub cpu_percent: Option<i64>,
    /// CPUs that must be free for it, in billionths.
    pub reserved_nano_cpus: Option<i64>,

    /// Memory, in bytes.
    pub memory: Option<i64>,
    /// Memory that should stay with it, in bytes.
    pub memory_reservation: Option<i64>,
    /// Memory and swap together, in bytes; -1 means no limit.
    pub memory_swap: Option<i64>,
    /// How gladly it is swapped out, 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Is not killed when the memory ends.
    pub oom_kill_disable: Option<bool>,
    /// How gladly it is killed then, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_size: Option<i64>,

    /// Processes; -1 means no limit.
    pub pids: Option<i64>,
    /// Limits of the process (`setrlimit(2)`), by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Disks.
    pub blkio: Blkio,
    /// GPUs and the like.
    pub device_requests: Vec<DeviceRequest>,
}

/// A limit of a process; -1 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What counts.
    pub soft: i64,
    /// What it may be raised to.
    pub hard: i64,
}

/// Limits for disks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blkio {
    /// Weight against other containers, 10 to 1000.
    pub weight: Option<u16>,
    /// The same for single devices.
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes a second.
    pub device_read_bps: Vec<DeviceRate>,
    /// Operations a second.
    pub device_read_iops: Vec<DeviceRate>,
    /// Bytes a second.
    pub device_write_bps: Vec<DeviceRate>,
    /// Operations a second.
    pub device_write_iops: Vec<DeviceRate>,
}

/// A weight for one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// The device's path on the host.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A rate for one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// The device's path on the host.
    pub path: String,
    /// In bytes or operations a second.
    pub rate: u64,
}

/// Devices that a driver of the engine hands out (`DeviceRequests` of the Engine API).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// `nvidia`
    pub driver: Option<String>,
    /// How many.
    pub count: Option<GpuCount>,
    /// Or which.
    pub device_ids: Vec<String>,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// How many devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuCount {
    /// All of them.
    All,
    /// So many.
    Count(u32),
}
