//! The files of the first user load as they are, when they are there.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;

use compose::project::{Networking, Restart, VolumeKind};
use compose::{Files, Found, Project, Request};

/// The real file system.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Found {
        match fs_err::read_to_string(path) {
            Ok(text) => Found::Text(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Absent,
            Err(error) => Found::Failed(error.to_string()),
        }
    }
}

fn load(folder: &str, env_file: &str) -> Option<Project> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    let variable = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let request = Request {
        directory: path.canonicalize().unwrap().display().to_string(),
        files: vec!["docker-compose.prod.yml".to_owned()],
        environment: BTreeMap::from([
            variable("TAG_PROD", "v1.2.0"),
            variable("ENV_FILE_PROD", env_file),
        ]),
        ..Request::default()
    };
    let loaded = compose::load(&request, &Disk);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.render());
    loaded.project
}

#[test]
fn example() {
    let Some(project) = load("example", "env.prod") else {
        return;
    };
    let names: Vec<_> = project.services.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["frontend", "web-api", "web-ui", "worker"]);
    let frontend = &project.services["frontend"];
    assert_eq!(frontend.restart, Restart::Always);
    assert_eq!(frontend.links.len(), 2);
    assert!(frontend.depends_on.contains_key("web-ui"));
    let ui = &project.services["web-ui"];
    assert!(ui.image.as_deref().unwrap().ends_with(":v1.2.0"));
    assert!(!ui.environment.is_empty());
    assert_eq!(ui.mounts.len(), 3);
    assert!(matches!(&ui.networking, Networking::Networks(all) if all.contains_key("default")));
    let VolumeKind::Own(uploaded) = &project.volumes["uploaded_data"].kind else {
        panic!("it is the project's own");
    };
    assert_eq!(uploaded.driver_opts["device"], "/storage");
    let key = "static_data".parse().unwrap();
    assert_eq!(project.volume_name(&key), "example_static_data");
}

/// A release is kept as JSON and read again; what is secret is not shown by accident.
#[test]
fn kept_and_read_again() {
    let text = "services: {web: {image: a, environment: {TOKEN: hunter2}, ports: ['80:80'], deploy: {update_config: {max_failure_ratio: 0.1}}}}";
    let files = BTreeMap::from([("/p/compose.yml".to_owned(), text.to_owned())]);
    let request = Request {
        directory: "/p".to_owned(),
        ..Request::default()
    };
    let loaded = compose::load(&request, &files);
    let project = loaded.project.clone().unwrap();
    let kept = serde_json::to_string(&project).unwrap();
    assert_eq!(serde_json::from_str::<Project>(&kept).unwrap(), project);
    assert!(kept.contains("hunter2"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}
