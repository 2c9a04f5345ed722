//! The application: a web server with its own files for each release, a database that must not run
//! twice, a migration, and a secret.

use std::collections::BTreeMap;

use deploy::release::{Draft, Image, ImageFrom, Source};
use docker::{Archive, Engine};
use model::Digest;

const COMPOSE: &str = r#"
name: shop
services:
  web:
    image: web:VERSION
    command: [httpd, -f, -p, "80", -h, /srv]
    ports: ["8080:80"]
    restart: always
    deploy: { replicas: 2 }
    stop_grace_period: 1s
    init: true
    healthcheck:
      test: [CMD, test, -f, /srv/index.html]
      interval: 200ms
      retries: 2
    depends_on: [db]
    volumes: ["static:/srv"]
    secrets: [{ source: key, target: /etc/key, uid: "7", mode: 0400 }]
  db:
    image: web:v1
    command: [sh, -c, "echo row >> /data/rows; exec nc -ll -p 5432 -e cat"]
    stop_grace_period: 1s
    init: true
    ports: ["5432:5432"]
    restart: always
    volumes: ["rows:/data"]
  migrate:
    image: web:VERSION
    command: [sh, -c, "MIGRATION"]
    depends_on: [db]
    x-lotse: { once: true }
volumes:
  static: { x-lotse: { per: release } }
  rows: {}
secrets:
  key: { environment: KEY }
"#;

/// A version of it.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) version: &'static str,
    pub(crate) migration: &'static str,
    /// Put in the place of the web server's command.
    pub(crate) web: Option<&'static str>,
}

impl App {
    pub(crate) fn new(version: &'static str) -> Self {
        Self {
            version,
            migration: "echo migrated",
            web: None,
        }
    }

    /// The images of it, on this engine.
    pub(crate) async fn draft(&self, engine: &Engine) -> Draft {
        let mut text = COMPOSE
            .replace("VERSION", self.version)
            .replace("MIGRATION", self.migration);
        if let Some(web) = self.web {
            text = text.replace(r#"[httpd, -f, -p, "80", -h, /srv]"#, web);
            // What ends shall stay so, to be looked at.
            text = text.replacen("restart: always", "restart: 'no'", 1);
        }
        let request = compose::Request {
            directory: "/app".to_owned(),
            files: vec!["/app/compose.yml".to_owned()],
            environment: BTreeMap::from([("KEY".to_owned(), "hunter2".to_owned())]),
            ..compose::Request::default()
        };
        let files = BTreeMap::from([("/app/compose.yml".to_owned(), text)]);
        let loaded = compose::load(&request, &files);
        assert!(!loaded.has_errors(), "{}", loaded.render());
        let project = loaded.project.unwrap();
        let mut images = BTreeMap::new();
        for (name, service) in &project.services {
            let image = service.image.clone().unwrap();
            let digest = image_id(engine, &image).await;
            let from = ImageFrom::Host;
            let image = Image {
                name: image,
                digest,
                from,
            };
            images.insert(name.clone(), Ok(image));
        }
        let source = Source {
            environment: "prod".parse().unwrap(),
            label: Some(self.version.to_owned()),
            values: BTreeMap::new(),
            images,
            files: BTreeMap::new(),
        };
        Draft::resolve(&project, source)
    }
}

async fn image_id(engine: &Engine, image: &str) -> Digest {
    let image = image.parse().unwrap();
    if let Ok(found) = engine.inspect_image(&image).await {
        return found.id;
    }
    let page = format!("shop {}\n", image.tag().unwrap());
    let archive = testkit::busybox::archive(&[("srv/index.html", &page)]);
    let made = engine
        .import_image(&image, Archive::whole(archive), &[])
        .await;
    made.unwrap()
}
