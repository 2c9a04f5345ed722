//! The application that is deployed: a front, a user interface and an interface for programs, a
//! worker, a database that must not run twice, and a migration.

use std::collections::BTreeMap;

use compose::Project;
use compose::project::{
    Condition, Dependency, Endpoint, Healthcheck, Mount, MountKind, Network, Networking, Order,
    OwnVolume, Per, Port, PortMode, Protocol, Published, Service, Test, Volume, VolumeKind,
};
use deploy::release::{Draft, Image, ImageFrom, Source};
use model::Digest;

/// What a version of the application is like.
#[derive(Debug, Clone, Default)]
pub struct App {
    /// Of all images but the database's.
    pub version: u32,
    /// Of the database.
    pub database: u32,
    /// Whether the worker must not run twice.
    pub worker_stands: bool,
    /// Whether the database has a port that users see.
    pub database_port: bool,
    /// Whether there is no database at all.
    pub no_database: bool,
}

impl App {
    pub fn new(version: u32) -> Self {
        Self {
            version,
            database: 1,
            ..Self::default()
        }
    }

    pub fn draft(&self) -> Draft {
        let project = self.project();
        let images = project.services.iter().map(|(name, service)| {
            let name_of_image = service.image.clone().unwrap();
            let digest = image(&name_of_image);
            (
                name.clone(),
                Ok(Image {
                    name: name_of_image,
                    digest,
                    from: ImageFrom::Registry,
                }),
            )
        });
        Draft::resolve(
            &project,
            Source {
                environment: "prod".parse().unwrap(),
                label: Some(format!("v{}", self.version)),
                values: BTreeMap::new(),
                images: images.collect(),
                files: BTreeMap::new(),
            },
        )
    }

    pub fn project(&self) -> Project {
        let version = self.version;
        let mut services = BTreeMap::new();
        let mut add =
            |name: &str, service: Service| services.insert(name.parse().unwrap(), service);
        let with = |needed: &[(&str, Condition)]| {
            let needs = needed.iter().map(|(name, condition)| {
                let dependency = Dependency {
                    condition: *condition,
                    restart: false,
                    required: true,
                };
                (name.parse().unwrap(), dependency)
            });
            needs.collect::<BTreeMap<_, _>>()
        };
        add(
            "front",
            Service {
                ports: vec![port(8080, 80)],
                mounts: vec![mount("static", "/static")],
                depends_on: with(&[
                    ("ui", Condition::ServiceHealthy),
                    ("api", Condition::ServiceStarted),
                ]),
                ..service("front", version)
            },
        );
        add(
            "ui",
            Service {
                mounts: vec![mount("static", "/static"), mount("uploads", "/data")],
                healthcheck: check(),
                ..service("ui", version)
            },
        );
        add(
            "api",
            Service {
                ports: vec![port(8081, 5000)],
                mounts: vec![mount("uploads", "/data")],
                healthcheck: check(),
                ..service("api", version)
            },
        );
        let mut worker = service("worker", version);
        worker.deploy.update_config.order = self.worker_stands.then_some(Order::StopFirst);
        add("worker", worker);
        if !self.no_database {
            let ports = if self.database_port {
                vec![port(5432, 5432)]
            } else {
                Vec::new()
            };
            let mounts = vec![mount("rows", "/rows")];
            add(
                "db",
                Service {
                    mounts,
                    ports,
                    healthcheck: check(),
                    ..service("db", self.database)
                },
            );
            let depends_on = with(&[("db", Condition::ServiceHealthy)]);
            add(
                "migrate",
                Service {
                    once: true,
                    depends_on,
                    ..service("migrate", version)
                },
            );
        }
        let volumes = [
            ("static", Per::Release),
            ("uploads", Per::Project),
            ("rows", Per::Project),
        ];
        let volumes = volumes.map(|(name, per)| {
            let kind = VolumeKind::Own(OwnVolume {
                per,
                ..OwnVolume::default()
            });
            (
                name.parse().unwrap(),
                Volume {
                    kind,
                    extensions: BTreeMap::new(),
                },
            )
        });
        Project {
            name: "shop".parse().unwrap(),
            directory: "/shop".to_owned(),
            services,
            inactive: BTreeMap::new(),
            networks: BTreeMap::from([("default".parse().unwrap(), Network::default())]),
            volumes: volumes.into(),
            configs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            extensions: BTreeMap::new(),
        }
    }
}

/// The digest of an image by its name.
pub fn image(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn service(name: &str, version: u32) -> Service {
    Service {
        image: Some(format!("{name}:{version}")),
        networking: Networking::Networks(BTreeMap::from([(
            "default".parse().unwrap(),
            Endpoint::default(),
        )])),
        ..Service::default()
    }
}

fn check() -> Option<Healthcheck> {
    Some(Healthcheck {
        test: Test::Shell("ask".to_owned()),
        ..Healthcheck::default()
    })
}

pub fn port(published: u16, target: u16) -> Port {
    Port {
        target,
        published: Published::Port(published),
        host_ip: None,
        protocol: Protocol::Tcp,
        app_protocol: None,
        mode: PortMode::Ingress,
        name: None,
    }
}

fn mount(volume: &str, target: &str) -> Mount {
    let kind = MountKind::Volume {
        name: Some(volume.parse().unwrap()),
        nocopy: false,
        subpath: None,
    };
    Mount {
        target: target.to_owned(),
        read_only: false,
        kind,
    }
}
