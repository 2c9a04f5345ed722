//! How long a plan of 50 services on 20 hosts takes, the first and the next.

#![allow(
    missing_docs,
    reason = "the macros of the harness make public functions"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::collections::BTreeMap;
use std::hint::black_box;

use compose::Project;
use compose::project::{
    Condition, Dependency, Endpoint, Mount, MountKind, Network, Networking, OwnVolume, Port,
    PortMode, Protocol, Published, Service, Volume, VolumeKind,
};
use criterion::{Criterion, criterion_group, criterion_main};
use deploy::host::{ContainerSeen, EdgeSeen, RouteSeen, State, VolumeSeen};
use deploy::name::ReleaseNumber;
use deploy::release::{Image, ImageFrom, Kind, Source};
use deploy::span::Span;
use deploy::{
    Desired, Draft, Environment, HostSeen, Kept, Observed, Plan, Release, Request, Verdict,
};
use model::Digest;

const SERVICES: u16 = 50;
const HOSTS: usize = 20;

fn project(version: u32) -> Project {
    let name = |index: u16| format!("service-{index}").parse().unwrap();
    let services = (0..SERVICES).map(|index| {
        let volume = format!("data-{}", index / 2).parse().unwrap();
        let dependency = Dependency {
            condition: Condition::ServiceHealthy,
            restart: false,
            required: true,
        };
        let service = Service {
            image: Some(format!(
                "registry.example.org/group/service-{index}:{version}"
            )),
            environment: (0..20)
                .map(|key| (format!("KEY_{key}"), Some("value".into())))
                .collect(),
            depends_on: (index % 10 > 0)
                .then(|| (name(index - 1), dependency))
                .into_iter()
                .collect(),
            networking: Networking::Networks(BTreeMap::from([(
                "default".parse().unwrap(),
                Endpoint::default(),
            )])),
            ports: vec![Port {
                target: 80,
                published: Published::Port(8000 + index),
                host_ip: None,
                protocol: Protocol::Tcp,
                app_protocol: None,
                mode: PortMode::Ingress,
                name: None,
            }],
            mounts: vec![Mount {
                target: "/data".to_owned(),
                read_only: false,
                kind: MountKind::Volume {
                    name: Some(volume),
                    nocopy: false,
                    subpath: None,
                },
            }],
            ..Service::default()
        };
        (name(index), service)
    });
    let volumes = (0..SERVICES / 2).map(|index| {
        let volume = Volume {
            kind: VolumeKind::Own(OwnVolume::default()),
            extensions: BTreeMap::new(),
        };
        (format!("data-{index}").parse().unwrap(), volume)
    });
    Project {
        name: "big".parse().unwrap(),
        directory: "/big".to_owned(),
        services: services.collect(),
        inactive: BTreeMap::new(),
        networks: BTreeMap::from([("default".parse().unwrap(), Network::default())]),
        volumes: volumes.collect(),
        configs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        extensions: BTreeMap::new(),
    }
}

fn draft(project: &Project) -> Draft {
    let images = project.services.iter().map(|(service, definition)| {
        let name = definition.image.clone().unwrap();
        let image = Image {
            digest: Digest::of(name.as_bytes()),
            name,
            from: ImageFrom::Registry,
        };
        (service.clone(), Ok(image))
    });
    let source = Source {
        environment: "prod".parse().unwrap(),
        label: None,
        values: BTreeMap::new(),
        images: images.collect(),
        files: BTreeMap::new(),
    };
    Draft::resolve(project, source)
}

fn request(draft: Draft) -> Request {
    let hosts = (0..HOSTS).map(|index| format!("ssh://deploy@web{index}").parse().unwrap());
    Request {
        name: "prod".parse().unwrap(),
        environment: Environment {
            hosts: hosts.collect(),
            ..Environment::default()
        },
        desired: Desired::Deploy(Box::new(draft)),
        holder: "bench".parse().unwrap(),
        edge: "0.1.0".to_owned(),
    }
}

/// A host that serves a release and remembers ten.
fn serving(release: &Release) -> HostSeen {
    let remembered = (1..=10).map(|number| {
        let release = Release {
            number: ReleaseNumber(number),
            ..release.clone()
        };
        (
            release.number,
            Kept {
                release: release.into(),
                verdict: Verdict::Good,
            },
        )
    });
    let routes = release.routes(None).into_iter();
    let containers = release
        .of_kind(Kind::Released)
        .map(|(service, member)| ContainerSeen {
            name: release.container_name(service, 1),
            service: service.clone(),
            hash: member.hash.clone(),
            state: State::Running,
            health: None,
            restarts: 0,
            running_for: Some(Span::seconds(1000)),
        });
    let mut seen = HostSeen {
        edge: Some(EdgeSeen {
            version: "0.1.0".to_owned(),
            running: true,
            routes: routes
                .map(|route| RouteSeen {
                    listen: route.listen,
                    leads_to: Some(route.leads_to),
                })
                .collect(),
        }),
        stacks: BTreeMap::from([(release.number, containers.collect())]),
        networks: release
            .networks
            .keys()
            .map(|key| release.own_network_name(key))
            .collect(),
        volumes: release
            .volumes
            .keys()
            .map(|key| (release.volume_name(key), VolumeSeen::default()))
            .collect(),
        images: release
            .services
            .values()
            .map(|member| member.image.digest.clone())
            .collect(),
        ..HostSeen::default()
    };
    seen.record.releases = remembered.collect();
    seen.record.in_force = Some(release.number);
    seen
}

fn plans(criterion: &mut Criterion) {
    let first = request(draft(&project(1)));
    let empty: Observed = first
        .environment
        .hosts
        .iter()
        .map(|host| (host.clone(), Ok(HostSeen::default())))
        .collect();
    let plan = Plan::make(&first, &empty).unwrap();
    let release = Release {
        number: ReleaseNumber(10),
        ..Release::clone(plan.release().unwrap())
    };
    let seen = serving(&release);
    let observed: Observed = first
        .environment
        .hosts
        .iter()
        .map(|host| (host.clone(), Ok(seen.clone())))
        .collect();
    let next = request(draft(&project(2)));

    criterion.bench_function("resolve 50 services", |bencher| {
        bencher.iter(|| draft(black_box(&project(1))));
    });
    criterion.bench_function("plan 50 services on 20 empty hosts", |bencher| {
        bencher.iter(|| Plan::make(black_box(&first), &empty).unwrap());
    });
    criterion.bench_function(
        "plan 50 services on 20 hosts that serve another release",
        |bencher| {
            bencher.iter(|| Plan::make(black_box(&next), &observed).unwrap());
        },
    );
    criterion.bench_function("show that plan", |bencher| {
        let plan = Plan::make(&next, &observed).unwrap();
        bencher.iter(|| plan.to_string());
    });
}

criterion_group!(benches, plans);
criterion_main!(benches);
