//! What the volumes hold: a mark of the test in each, which nothing may take away.

use super::stage::Stage;

/// Where the content of each volume is on a host.
const VOLUMES: [(&str, &str); 3] = [
    ("uploaded", "/storage"),
    ("archived", "/var/lib/docker/volumes/site_archived/_data"),
    ("records", "/var/lib/docker/volumes/site_records/_data"),
];

/// Leaves a mark in each volume.
pub(crate) fn mark(stage: &Stage, host: &str) {
    for (volume, folder) in VOLUMES {
        let script = format!("echo {volume} of {host} >{folder}/mark");
        stage.exec(host, &["sh", "-c", &script]);
    }
}

/// The volumes whose mark is gone.
pub(crate) fn lost(stage: &Stage, host: &str) -> Vec<&'static str> {
    let is_lost = |(volume, folder): &(&'static str, &str)| {
        let output = stage.host(host).exec(&["cat", &format!("{folder}/mark")]);
        let output = output.unwrap();
        let mark = format!("{volume} of {host}\n");
        !output.status.success() || output.stdout != mark.as_bytes()
    };
    let lost = VOLUMES.into_iter().filter(is_lost);
    lost.map(|(volume, _)| volume).collect()
}

/// Every mark is there on every host.
pub(crate) fn must_be_there(stage: &Stage, hosts: &[&str], when: &str) {
    for host in hosts {
        let lost = lost(stage, host);
        assert!(lost.is_empty(), "{when}: {host} has lost {lost:?}");
    }
}
