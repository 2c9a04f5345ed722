//! An engine, and a registry in its network that lets one user in.

use std::path::PathBuf;

use apply::keyring::Keyring;
use compose::{Files, Found, Project, Request};
use docker::{Archive, Engine, EngineAddress, ImageRef};
use model::Digest;
use tempfile::TempDir;
use testkit::busybox;
use testkit::dockerd::{Dockerd, text_of};

use crate::private_registry::{self, PASSWORD, USER};

const TOOLS: &str = "tools:1";

pub(crate) struct Shop {
    pub(crate) engine: Engine,
    pub(crate) registry: String,
    daemon: Dockerd,
    _images: TempDir,
}

impl Shop {
    /// Nothing, said aloud, where it cannot be.
    pub(crate) async fn start() -> Option<Self> {
        if !busybox::is_installed() {
            testkit::skip("busybox-static is not installed");
            return None;
        }
        let daemon = Dockerd::start()?;
        let images = tempfile::tempdir().unwrap();
        let registry = private_registry::serve(daemon.listen(), images.path());
        let address = EngineAddress::Unix(daemon.socket());
        let engine = Engine::connect(&address, None).await.unwrap();
        let archive = Archive::whole(busybox::archive(&[("srv/hello", "hello\n")]));
        let tools = TOOLS.parse().unwrap();
        engine.import_image(&tools, archive, &[]).await.unwrap();
        Some(Self {
            engine,
            registry,
            daemon,
            _images: images,
        })
    }

    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry)
    }

    /// Gives the small image a further name.
    pub(crate) fn tag(&self, name: &str) {
        self.docker(&["tag", TOOLS, name]);
    }

    /// Pushes the small image under this name, and returns its digest.
    pub(crate) fn push(&self, name: &str) -> String {
        let image = self.image(name);
        self.docker(&["login", "-u", USER, "-p", PASSWORD, &self.registry]);
        self.tag(&image);
        let said = self.docker(&["push", &image]);
        let mut words = said
            .split_whitespace()
            .skip_while(|word| *word != "digest:");
        words.nth(1).unwrap().to_owned()
    }

    /// What `docker login` has left.
    pub(crate) fn logged_in(&self) -> Keyring {
        let command = self.daemon.client("docker");
        let mut variables = command.get_envs();
        let folder = variables
            .find(|(name, _)| *name == "DOCKER_CONFIG")
            .unwrap()
            .1;
        Keyring::new(folder.map(PathBuf::from), None)
    }

    pub(crate) async fn id_of(&self, name: &str) -> Digest {
        let image: ImageRef = name.parse().unwrap();
        self.engine.inspect_image(&image).await.unwrap().id
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let output = self
            .daemon
            .client("docker")
            .args(arguments)
            .output()
            .unwrap();
        let text = text_of(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }
}

struct OneFile<'a>(&'a str);

impl Files for OneFile<'_> {
    fn read(&self, path: &str) -> Found {
        match path.ends_with("compose.yaml") {
            true => Found::Text(self.0.to_owned()),
            false => Found::Absent,
        }
    }
}

/// The project of a compose file.
pub(crate) fn load(text: &str) -> Project {
    let request = Request {
        directory: "/project".to_owned(),
        ..Request::default()
    };
    let loaded = compose::load(&request, &OneFile(text));
    assert!(!loaded.has_errors(), "{}", loaded.render());
    loaded.project.unwrap()
}
