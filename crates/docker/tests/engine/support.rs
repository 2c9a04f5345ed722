//! An engine with one small image.

use docker::container::spec::{ContainerSpec, Networking};
use docker::container::{Container, HealthStatus};
use docker::{Archive, Engine, EngineAddress, ImageRef, Name};
use testkit::busybox;
use testkit::dockerd::Dockerd;

pub(crate) const TOOLS: &str = "tools:1";

/// A running engine, connected to.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) daemon: Dockerd,
}

impl Desk {
    /// Nothing, said aloud, where it cannot be.
    pub(crate) async fn start() -> Option<Self> {
        if !busybox::is_installed() {
            testkit::skip("busybox-static is not installed");
            return None;
        }
        let daemon = Dockerd::start()?;
        let address = EngineAddress::Unix(daemon.socket());
        let engine = Engine::connect(&address, None).await.unwrap();
        let archive = Archive::whole(busybox::archive(&[("srv/hello", "hello\n")]));
        let changes = [r#"CMD ["sleep", "1000"]"#, "LABEL made-by=test"];
        let image = engine.import_image(&image(TOOLS), archive, &changes).await;
        image.unwrap();
        Some(Self { engine, daemon })
    }

    /// Makes and starts a container of the small image.
    pub(crate) async fn run(&self, name: &str, change: impl FnOnce(&mut ContainerSpec)) -> Name {
        let made = self.create(name, change).await;
        self.engine.start_container(&made).await.unwrap();
        made
    }

    pub(crate) async fn create(&self, text: &str, change: impl FnOnce(&mut ContainerSpec)) -> Name {
        let spec = spec(change);
        let name = name(text);
        self.engine.create_container(&name, &spec).await.unwrap();
        name
    }

    pub(crate) async fn seen(&self, name: &Name) -> Container {
        self.engine.inspect_container(name).await.unwrap()
    }

    pub(crate) async fn health(&self, name: &Name) -> Option<HealthStatus> {
        Some(self.seen(name).await.health?.status)
    }
}

pub(crate) fn spec(change: impl FnOnce(&mut ContainerSpec)) -> ContainerSpec {
    let mut spec = ContainerSpec::new(image(TOOLS));
    spec.networking = Networking::None;
    change(&mut spec);
    spec
}

/// One line for the shell.
pub(crate) fn shell(line: &str) -> Option<Vec<String>> {
    Some(["sh", "-c", line].map(str::to_owned).to_vec())
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn image(text: &str) -> ImageRef {
    text.parse().unwrap()
}
