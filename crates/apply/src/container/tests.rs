use std::collections::BTreeMap;

use compose::project::Project;
use serde_json::{Value, json};

use super::*;

fn project(service: &str) -> Project {
    let text = format!(
        "name: p\nservices:\n  other: {{ image: o }}\n  web:\n    image: web:1\n{service}\nvolumes: {{ v: {{}} }}\n"
    );
    let request = compose::Request {
        directory: "/app".to_owned(),
        files: vec!["/app/compose.yml".to_owned()],
        ..compose::Request::default()
    };
    let files = BTreeMap::from([("/app/compose.yml".to_owned(), text)]);
    let loaded = compose::load(&request, &files);
    assert!(!loaded.has_errors(), "{}", loaded.render());
    loaded.project.unwrap()
}

fn made(line: &str) -> Value {
    let project = project(&format!("    {line}"));
    let name: ServiceName = "web".parse().unwrap();
    let service = &project.services[&name];
    let key: VolumeName = "v".parse().unwrap();
    let setting = Setting {
        image: "web:1".parse().unwrap(),
        networks: vec![Attachment::new(
            "p_default".parse().unwrap(),
            ["web".to_owned()],
        )],
        volumes: BTreeMap::from([(&key, "p_v".to_owned())]),
        labels: BTreeMap::from([("own".to_owned(), "label".to_owned())]),
        ports: service.ports.iter().collect(),
        restart: EngineRestart::UnlessStopped,
        container_of: &|other| format!("p-{other}-1"),
    };
    json!(spec(service, setting))
}

/// Each case: a line of the file, where in the spec, and what must stand there.
#[test]
fn each_attribute_arrives() {
    let cases = [
        ("platform: linux/amd64", "/platform", json!("linux/amd64")),
        ("command: [a, b]", "/command", json!(["a", "b"])),
        ("entrypoint: []", "/entrypoint", json!([])),
        (
            "environment: { A: '1', B: }",
            "/environment",
            json!({"A": "1", "B": null}),
        ),
        ("working_dir: /w", "/working_dir", json!("/w")),
        ("user: '7:8'", "/user", json!("7:8")),
        ("group_add: [video]", "/groups", json!(["video"])),
        ("init: true", "/init", json!(true)),
        ("tty: true", "/terminal", json!(true)),
        ("stdin_open: true", "/open_stdin", json!(true)),
        ("stop_signal: SIGINT", "/stop_signal", json!("SIGINT")),
        ("stop_grace_period: 90s", "/stop_grace/secs", json!(90)),
        ("hostname: h", "/hostname", json!("h")),
        ("domainname: d", "/domainname", json!("d")),
        (
            "labels: { a: b }",
            "/labels",
            json!({"a": "b", "own": "label"}),
        ),
        ("annotations: { a: b }", "/annotations/a", json!("b")),
        ("restart: always", "/restart", json!("UnlessStopped")),
        (
            "healthcheck: { test: 'true', interval: 2s, retries: 4 }",
            "/healthcheck/Test/command",
            json!(["CMD-SHELL", "true"]),
        ),
        (
            "healthcheck: { disable: true }",
            "/healthcheck",
            json!("Disabled"),
        ),
        ("network_mode: host", "/networking", json!("Host")),
        ("network_mode: none", "/networking", json!("None")),
        (
            "network_mode: service:other",
            "/networking",
            json!({"Container": "p-other-1"}),
        ),
        ("expose: ['53/udp']", "/exposed/0/number", json!(53)),
        (
            "ports: ['127.0.0.1:8080:80']",
            "/ports/0/host",
            json!([8080, 8080]),
        ),
        ("ports: ['80']", "/ports/0/host", json!(null)),
        (
            "extra_hosts: ['a:10.0.0.1']",
            "/extra_hosts/0/address",
            json!("10.0.0.1"),
        ),
        ("dns: 10.0.0.2", "/dns/servers", json!(["10.0.0.2"])),
        ("dns_search: d", "/dns/search", json!(["d"])),
        ("dns_opt: ['ndots:2']", "/dns/options", json!(["ndots:2"])),
        (
            "volumes: ['v:/data:ro']",
            "/mounts/0/source/Volume/name",
            json!("p_v"),
        ),
        (
            "volumes: ['v:/data:ro']",
            "/mounts/0/read_only",
            json!(true),
        ),
        (
            "volumes: ['/srv:/data']",
            "/mounts/0/source/Bind/path",
            json!("/srv"),
        ),
        (
            "tmpfs: '/t:size=1k'",
            "/mounts/0/source/Tmpfs/size",
            json!(1024),
        ),
        (
            "volumes_from: ['other:ro']",
            "/volumes_from",
            json!(["p-other-1:ro"]),
        ),
        (
            "devices: ['/dev/fuse']",
            "/security/devices/0/host",
            json!("/dev/fuse"),
        ),
        ("storage_opt: { size: 1G }", "/storage/size", json!("1G")),
        (
            "cpus: 1.5",
            "/resources/nano_cpus",
            json!(1_500_000_000_u64),
        ),
        ("cpu_shares: 7", "/resources/cpu_shares", json!(7)),
        ("cpuset: '0,1'", "/resources/cpuset", json!("0,1")),
        ("mem_limit: 64m", "/resources/memory", json!(64 << 20)),
        ("memswap_limit: -1", "/resources/memory_swap", json!(-1)),
        ("mem_swappiness: 10", "/resources/swappiness", json!(10)),
        (
            "oom_score_adj: -500",
            "/resources/oom_score_adj",
            json!(-500),
        ),
        ("shm_size: 1m", "/resources/shm_size", json!(1 << 20)),
        ("pids_limit: 9", "/resources/pids", json!(9)),
        (
            "ulimits: { nofile: 5 }",
            "/resources/ulimits/nofile/hard",
            json!(5),
        ),
        (
            "blkio_config: { weight: 300 }",
            "/resources/blkio_weight",
            json!(300),
        ),
        ("cgroup_parent: g", "/resources/cgroup_parent", json!("g")),
        (
            "cap_add: [NET_ADMIN]",
            "/security/cap_add",
            json!(["NET_ADMIN"]),
        ),
        ("cap_drop: [ALL]", "/security/cap_drop", json!(["ALL"])),
        ("privileged: true", "/security/privileged", json!(true)),
        ("read_only: true", "/security/read_only", json!(true)),
        (
            "security_opt: ['no-new-privileges:true']",
            "/security/options",
            json!(["no-new-privileges:true"]),
        ),
        (
            "sysctls: { net.core.somaxconn: 9 }",
            "/security/sysctls/net.core.somaxconn",
            json!("9"),
        ),
        ("userns_mode: host", "/namespaces/user", json!("host")),
        (
            "ipc: service:other",
            "/namespaces/ipc",
            json!("container:p-other-1"),
        ),
        ("pid: host", "/namespaces/pid", json!("host")),
        ("uts: host", "/namespaces/uts", json!("host")),
        ("cgroup: host", "/namespaces/cgroup", json!("host")),
        (
            "logging: { driver: json-file, options: { max-size: 1m } }",
            "/logging/options/max-size",
            json!("1m"),
        ),
        ("runtime: runc", "/runtime", json!("runc")),
    ];
    for (line, place, expected) in cases {
        let made = made(line);
        assert_eq!(made.pointer(place), Some(&expected), "{line}: {made:#}");
    }
}

#[test]
fn what_is_not_done_is_said() {
    let cases = [
        ("external_links: [db]", "external_links"),
        ("isolation: hyperv", "Windows"),
        ("cpu_percent: 5", "use `cpus`"),
        ("tmpfs: '/t:uid=7'", "uid=7"),
        ("volumes: ['/srv:/data:z']", "SELinux"),
        (
            "volumes: [{ type: image, source: i, target: /i }]",
            "copy from it",
        ),
        (
            "networks: { default: { interface_name: eth7 } }",
            "interface_name",
        ),
        ("image: web:1", ""),
    ];
    for (line, expected) in cases {
        let text = match line {
            "image: web:1" => String::new(),
            line => format!("    {line}"),
        };
        let project = project(&text);
        let name: ServiceName = "web".parse().unwrap();
        let found = refusals(&name, &project.services[&name]);
        let words: Vec<String> = found.iter().map(ToString::to_string).collect();
        match expected {
            "" => assert_eq!(words, Vec::<String>::new()),
            expected => assert!(words.join("\n").contains(expected), "{line}: {words:?}"),
        }
    }
}
