//! An engine of a test's own, and a project that lotse runs on it.

use std::process::{Command, Stdio};

use docker::{Archive, Engine, EngineAddress, if_found};
use tempfile::TempDir;
use testkit::busybox;
use testkit::dockerd::{Dockerd, text_of};

/// An engine, and a folder with a project.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) daemon: Dockerd,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) async fn start(file: &str) -> Option<Self> {
        if !busybox::is_installed() {
            testkit::skip("busybox-static is not installed");
            return None;
        }
        let daemon = Dockerd::start()?;
        let address = EngineAddress::Unix(daemon.socket());
        let engine = Engine::connect(&address, None).await.unwrap();
        let archive = Archive::whole(busybox::archive(&[("srv/hello", "hello\n")]));
        engine
            .import_image(&"tools:1".parse().unwrap(), archive, &[])
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("key"), "hunter2\n").unwrap();
        let desk = Self {
            engine,
            daemon,
            folder,
        };
        desk.write(file);
        Some(desk)
    }

    pub(crate) fn write(&self, file: &str) {
        self.put("compose.yaml", file);
    }

    /// A file of the project, with the folders that it needs.
    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.daemon.client(env!("CARGO_BIN_EXE_lotse"));
        command
            .arg("compose")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("DOCKER_CERT_PATH")
            .stdin(Stdio::null());
        command
    }

    /// What it says, and its status.
    pub(crate) fn lotse(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.code(), text_of(&output))
    }

    pub(crate) fn does(&self, arguments: &[&str]) -> String {
        let (status, said) = self.lotse(arguments);
        assert_eq!(status, Some(0), "{arguments:?}: {said}");
        said
    }

    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let (status, said) = self.lotse(arguments);
        assert_eq!(status, Some(1), "{arguments:?}: {said}");
        said
    }

    pub(crate) async fn mounts(&self, container: &str) -> Vec<String> {
        let seen = self
            .engine
            .inspect_container(&container.parse().unwrap())
            .await
            .unwrap();
        seen.mounts
            .into_iter()
            .filter_map(|mount| mount.volume)
            .collect()
    }

    pub(crate) async fn has_volume(&self, name: &str) -> bool {
        let found = self.engine.inspect_volume(&name.parse().unwrap()).await;
        if_found(found).unwrap().is_some()
    }
}
