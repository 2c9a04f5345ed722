//! What a container may use.

use compose::project::{self, Blkio, GpuCount, Limits, Security};
use docker::container::spec::{DeviceRate, DeviceRequest, Resources, Ulimit};

pub(super) fn of(limits: &Limits, security: &Security) -> Resources {
    Resources {
        memory: unsigned(limits.memory),
        memory_reservation: unsigned(limits.memory_reservation),
        memory_swap: limits.memory_swap,
        swappiness: limits
            .memory_swappiness
            .and_then(|number| number.try_into().ok()),
        nano_cpus: unsigned(limits.nano_cpus),
        cpu_shares: unsigned(limits.cpu_shares),
        cpu_period: unsigned(limits.cpu_period),
        cpu_quota: limits.cpu_quota,
        cpu_rt_runtime: limits.cpu_rt_runtime,
        cpu_rt_period: limits.cpu_rt_period,
        cpuset: limits.cpuset.clone(),
        pids: limits.pids,
        shm_size: unsigned(limits.shm_size),
        oom_score_adj: limits
            .oom_score_adj
            .and_then(|number| number.try_into().ok()),
        oom_kill_disable: limits.oom_kill_disable,
        ulimits: limits
            .ulimits
            .iter()
            .map(|(name, limit)| (name.clone(), ulimit(*limit)))
            .collect(),
        cgroup_parent: security.cgroup_parent.clone(),
        device_requests: limits.device_requests.iter().map(device_request).collect(),
        ..disks(&limits.blkio)
    }
}

fn disks(blkio: &Blkio) -> Resources {
    let weight = |device: &project::DeviceWeight| DeviceRate {
        path: device.path.clone(),
        rate: device.weight.into(),
    };
    let rates = |devices: &[project::DeviceRate]| {
        let rate = |device: &project::DeviceRate| DeviceRate {
            path: device.path.clone(),
            rate: device.rate,
        };
        devices.iter().map(rate).collect()
    };
    Resources {
        blkio_weight: blkio.weight,
        blkio_weight_device: blkio.weight_device.iter().map(weight).collect(),
        device_read_bps: rates(&blkio.device_read_bps),
        device_write_bps: rates(&blkio.device_write_bps),
        device_read_iops: rates(&blkio.device_read_iops),
        device_write_iops: rates(&blkio.device_write_iops),
        ..Resources::default()
    }
}

fn device_request(request: &project::DeviceRequest) -> DeviceRequest {
    DeviceRequest {
        driver: request.driver.clone(),
        count: request.count.map(|count| match count {
            GpuCount::All => -1,
            GpuCount::Count(count) => count.into(),
        }),
        ids: request.device_ids.clone(),
        capabilities: match request.capabilities.is_empty() {
            true => Vec::new(),
            false => vec![request.capabilities.clone()],
        },
        options: request.options.clone(),
    }
}

fn ulimit(limit: project::Ulimit) -> Ulimit {
    Ulimit {
        soft: limit.soft,
        hard: limit.hard,
    }
}

fn unsigned(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| number.try_into().ok())
}
