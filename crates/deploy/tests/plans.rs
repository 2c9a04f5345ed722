//! From compose files to releases and plans: kinds with their reasons, problems, and the plan that
//! people read.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use compose::Project;
use deploy::host::{ComposedSeen, LockSeen, PortTaken};
use deploy::release::{Image, ImageFrom, Kind, Listen, Source};
use deploy::span::Span;
use deploy::{Desired, Draft, Environment, HostSeen, Observed, Plan, Release, Request, Unreached};
use model::Digest;

fn project(text: &str) -> Project {
    let files = BTreeMap::from([
        ("/shop/compose.yml".to_owned(), text.to_owned()),
        ("/shop/env.prod".to_owned(), "PASSWORD=hunter2\n".to_owned()),
    ]);
    let request = compose::Request {
        directory: "/shop".to_owned(),
        files: vec!["compose.yml".to_owned()],
        ..compose::Request::default()
    };
    let loaded = compose::load(&request, &files);
    assert!(!loaded.has_errors(), "{}", loaded.render());
    loaded.project.unwrap()
}

fn draft(text: &str) -> Draft {
    let project = project(text);
    let images = project
        .services
        .iter()
        .filter(|(name, _)| name.as_str() != "unknown")
        .map(|(service, definition)| {
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
        label: Some("v1.2.0".to_owned()),
        values: BTreeMap::from([("TAG".to_owned(), "v1.2.0".into())]),
        images: images.collect(),
        files: BTreeMap::new(),
    };
    Draft::resolve(&project, source)
}

fn request(draft: Draft, hosts: &[&str]) -> Request {
    Request {
        name: "prod".parse().unwrap(),
        environment: Environment {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            ..Environment::default()
        },
        desired: Desired::Deploy(Box::new(draft)),
        holder: "operator at laptop".parse().unwrap(),
        edge: "0.1.0".to_owned(),
    }
}

fn empty(request: &Request) -> Observed {
    let hosts = request.environment.hosts.iter();
    hosts
        .map(|host| (host.clone(), Ok(HostSeen::default())))
        .collect()
}

fn release(text: &str) -> Release {
    let request = request(draft(text), &["web1"]);
    let plan = Plan::make(&request, &empty(&request)).unwrap();
    Release::clone(plan.release().unwrap())
}

#[test]
fn each_service_has_its_kind() {
    let cases = [
        ("image: a", Kind::Released, "nothing says otherwise"),
        (
            "image: a\n    deploy: {update_config: {order: stop-first}}",
            Kind::Standing,
            "`order: stop-first` is given",
        ),
        (
            "image: a\n    volumes: ['own:/data']",
            Kind::Standing,
            "it alone mounts the volume `own`",
        ),
        (
            "image: a\n    volumes: ['outside:/data']",
            Kind::Standing,
            "it alone mounts the volume `outside`",
        ),
        (
            "image: a\n    volumes: ['shared:/data']",
            Kind::Released,
            "nothing says otherwise",
        ),
        (
            "image: a\n    volumes: ['own:/data:ro']",
            Kind::Released,
            "nothing says otherwise",
        ),
        (
            "image: a\n    volumes: ['fresh:/data']",
            Kind::Released,
            "nothing says otherwise",
        ),
        (
            "image: a\n    volumes: ['/srv:/data']",
            Kind::Released,
            "nothing says otherwise",
        ),
        (
            "image: a\n    volumes: ['dumped:/data']",
            Kind::Standing,
            "it alone mounts the volume `dumped`",
        ),
        (
            "image: a\n    volumes: ['own:/data']\n    deploy: {update_config: {order: start-first}}",
            Kind::Released,
            "`order: start-first` is given",
        ),
        (
            "image: a\n    volumes: ['own:/data']\n    x-lotse: {once: true}",
            Kind::Once,
            "`x-lotse: { once: true }` is given",
        ),
    ];
    for (service, kind, why) in cases {
        let text = format!(
            "services:\n  it:\n    {service}\n  other:\n    image: b\n    volumes: ['shared:/data']\n  \
             dump:\n    image: c\n    x-lotse: {{once: true}}\n    volumes: ['dumped:/data']\n\
             volumes:\n  own:\n  shared:\n  dumped:\n  outside: {{external: true}}\n  fresh: {{x-lotse: {{per: release}}}}\n"
        );
        let mut request = request(draft(&text), &["web1"]);
        request.environment.hosts = vec!["web1".parse().unwrap()];
        let mut observed = empty(&request);
        let seen = observed.values_mut().next().unwrap().as_mut().unwrap();
        seen.volumes
            .insert("outside".to_owned(), deploy::host::VolumeSeen::default());
        let plan = Plan::make(&request, &observed).unwrap();
        let member = &plan.release().unwrap().services["it"];
        assert_eq!(
            (member.kind(), member.why.to_string().as_str()),
            (kind, why),
            "{service}"
        );
    }
}

#[test]
fn a_release_is_stable_and_hashed_by_service() {
    let one = "services:\n  a:\n    image: a:1\n    env_file: env.prod\n    ports: ['80:80']\n  b:\n    image: b:1\n    depends_on: [a]\n";
    let release_one = release(one);
    let json = serde_json::to_string(&release_one).unwrap();
    let again: Release = serde_json::from_str(&json).unwrap();
    assert_eq!(again, release_one);
    assert_eq!(serde_json::to_string(&again).unwrap(), json);
    assert_eq!(release(one).digest, release_one.digest);

    let two = release(&one.replace("b:1", "b:2"));
    assert_eq!(two.services["a"].hash, release_one.services["a"].hash);
    assert_ne!(two.services["b"].hash, release_one.services["b"].hash);
    assert_ne!(two.digest, release_one.digest);

    // What only a rollout reads does not make another container.
    let three = release(&one.replace(
        "    depends_on: [a]\n",
        "    deploy: {update_config: {delay: 3s}}\n",
    ));
    assert_eq!(three.services["b"].hash, release_one.services["b"].hash);
    assert_ne!(three.digest, release_one.digest);
}

#[test]
fn plans_show_no_secrets() {
    let text = "services:\n  a:\n    image: a:1\n    env_file: env.prod\n    environment: {KEY: swordfish}\n";
    let request = request(draft(text), &["web1"]);
    let plan = Plan::make(&request, &empty(&request)).unwrap();
    assert!(
        serde_json::to_string(plan.release().unwrap().as_ref())
            .unwrap()
            .contains("hunter2")
    );
    let shown = [
        plan.to_string(),
        serde_json::to_string(&plan).unwrap(),
        format!("{plan:?}"),
    ];
    for text in shown {
        assert!(
            !text.contains("hunter2") && !text.contains("swordfish"),
            "{text}"
        );
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "services:
  unknown: {image: 'a:1'}
  udp: {image: 'b:1', ports: ['53:53/udp']}
  one: {image: 'c:1', ports: ['80:80']}
  two: {image: 'd:1', ports: ['80-81:80'], networks: {default: {ipv4_address: 10.0.0.9}}}
  three: {image: 'e:1', volumes: ['outside:/data'], networks: [away]}
networks:
  default: {}
  away: {external: true}
volumes:
  outside: {external: true}
";
    let mut request = request(draft(text), &["web1", "web2", "web3", "web1"]);
    request.environment.health = Some(":9000/ping".parse().unwrap());
    let mut observed = empty(&request);
    observed.insert(
        "web2".parse().unwrap(),
        Err(Unreached("connection timed out".to_owned())),
    );
    let seen = HostSeen {
        lock: Some(LockSeen {
            holder: "colleague at desk".parse().unwrap(),
            expires_in: Span::seconds(40),
        }),
        ports: vec![PortTaken {
            listen: Listen { ip: None, port: 80 },
            by: "container nginx of the compose project old".to_owned(),
        }],
        networks: ["away".to_owned()].into(),
        volumes: [("outside".to_owned(), deploy::host::VolumeSeen::default())].into(),
        ..HostSeen::default()
    };
    observed.insert("web3".parse().unwrap(), Ok(seen));
    let problems = Plan::make(&request, &observed).unwrap_err().to_string();
    let expected = [
        "web1 stands twice",
        "web2 cannot be reached: connection timed out",
        "web3 is locked by colleague at desk for another 40s",
        "the image `a:1` of the service `unknown` is not known",
        "the service `udp` publishes 53 as udp",
        "port 80 is published by `one` and `two`",
        "the service `two` has a fixed address",
        "no service of the stack publishes port 9000",
        "web1 has no network `away`",
        "web1 has no volume `outside`",
        "port 80 of web3 is taken by container nginx",
    ];
    for part in expected {
        assert!(
            problems.contains(part),
            "`{part}` is missing in:\n{problems}"
        );
    }
}

#[test]
fn names_on_shared_networks_belong_to_nobody() {
    let text = "services:\n  a:\n    image: a:1\n    container_name: alpha\n    networks: {away: {aliases: [front]}}\nnetworks:\n  away: {name: meeting}\n";
    let release = release(text);
    let service = "a".parse().unwrap();
    let blueprint = release.blueprint(&service, 1).unwrap();
    let networks: Vec<_> = blueprint
        .networks
        .iter()
        .map(|at| (at.network.as_str(), at.aliases.join(" ")))
        .collect();
    assert_eq!(
        networks,
        [
            ("meeting", "front".to_owned()),
            ("shop-r1-away", "a alpha front".to_owned())
        ]
    );
    assert_eq!(blueprint.name, "shop-r1-a-1");
}

/// `BLESS=1` writes it anew.
#[test]
fn a_plan_is_read_by_people() {
    let text = "services:
  frontend:
    image: nginx:prod
    volumes: ['static_data:/static']
    links: [web-ui, web-api]
    ports: ['8080:8080']
  web-ui:
    image: repository:v1.2.0
    env_file: env.prod
    ports: ['5000']
    volumes: ['static_data:/static', 'uploaded_data:/data']
    deploy: {replicas: 2}
  web-api:
    image: repository:v1.2.0
    volumes: ['uploaded_data:/data']
  db:
    image: postgres:16
    volumes: ['rows:/rows']
  migrate:
    image: repository:v1.2.0
    depends_on: {db: {condition: service_healthy}}
    x-lotse: {once: true}
volumes:
  static_data: {x-lotse: {per: release}}
  uploaded_data:
  rows:
";
    let mut request = request(draft(text), &["ssh://deploy@web1", "ssh://deploy@web2"]);
    request.environment.health = Some("/ping".parse().unwrap());
    request.environment.delay = Some(Span::seconds(5));
    let plan = Plan::make(&request, &empty(&request)).unwrap();
    is_golden(&plan, "first.txt");
}

fn is_golden(plan: &Plan, name: &str) {
    let path = format!("{}/tests/plans/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        fs_err::write(&path, plan.to_string()).unwrap();
    }
    assert_eq!(plan.to_string(), fs_err::read_to_string(&path).unwrap());
}

const COMPOSED: &str = "services:
  web:
    image: web:1
    ports: ['8080:8080']
  worker:
    image: web:1
  db:
    image: postgres:16
    volumes: ['rows:/rows']
volumes:
  rows:
";

/// A container of Docker Compose that runs.
fn composed(service: &str, port: Option<u16>) -> ComposedSeen {
    let listens = port.map(|port| Listen { ip: None, port });
    ComposedSeen {
        name: format!("shop_{service}_1"),
        project: "shop".to_owned(),
        service: service.to_owned(),
        is_up: true,
        listens: listens.into_iter().collect(),
        grace: Span::seconds(10),
    }
}

/// A host on which Docker Compose runs the project, and another one.
fn composed_host() -> HostSeen {
    let other = ComposedSeen {
        project: "other".to_owned(),
        ..composed("web", None)
    };
    HostSeen {
        ports: vec![PortTaken {
            listen: Listen {
                ip: None,
                port: 8080,
            },
            by: "container shop_web_1 of the compose project shop".to_owned(),
        }],
        volumes: [("shop_rows".to_owned(), deploy::host::VolumeSeen::default())].into(),
        composed: vec![
            composed("web", Some(8080)),
            composed("worker", None),
            composed("db", None),
            other,
        ],
        ..HostSeen::default()
    }
}

fn adopting(seen: HostSeen) -> Result<Plan, deploy::Problems> {
    let mut request = request(draft(COMPOSED), &["web1"]);
    if let Desired::Deploy(draft) = request.desired {
        request.desired = Desired::Adopt(draft);
    }
    let observed = Observed::from([("web1".parse().unwrap(), Ok(seen))]);
    Plan::make(&request, &observed)
}

#[test]
fn what_docker_compose_runs_is_taken_over_late_and_given_back() {
    let plan = adopting(composed_host()).unwrap();
    is_golden(&plan, "adopt.txt");
    let back: Vec<String> = plan.hosts[0]
        .back
        .iter()
        .map(|planned| planned.step.to_string())
        .collect();
    assert_eq!(
        back,
        [
            "close all ports",
            "stop the standing service db and keep it",
            "start shop_web_1, shop_worker_1, shop_db_1 of Docker Compose again"
        ]
    );
}

#[test]
fn a_take_over_that_was_cut_off_brings_all_of_it_back() {
    let mut seen = composed_host();
    seen.composed[0].is_up = false;
    let problems = adopting(HostSeen {
        composed: Vec::new(),
        ports: Vec::new(),
        ..seen.clone()
    });
    let problems = problems.unwrap_err().to_string();
    assert!(problems.contains("compose project `shop`"), "{problems}");

    seen.ports.clear();
    seen.record.under_way = Some(deploy::Intent {
        way: deploy::Way::Deploy,
        from: None,
        to: deploy::ReleaseNumber(1),
    });
    let plan = adopting(seen).unwrap();
    assert!(plan.hosts[0].begun);
    let last = plan.hosts[0].back.last().unwrap().step.to_string();
    assert!(last.contains("shop_web_1"), "{last}");
}

#[test]
fn a_port_of_another_project_is_not_taken_over() {
    let mut seen = composed_host();
    seen.composed[0].project = "other".to_owned();
    let problems = adopting(seen).unwrap_err().to_string();
    assert!(
        problems.contains("port 8080 of web1 is taken"),
        "{problems}"
    );
}
