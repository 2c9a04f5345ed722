//! A real Docker engine and real clients, against this registry.

use std::path::Path;
use std::process::Command;

use testkit::dockerd::{Dockerd, clients, text_of};

use crate::server::Server;

/// One engine with a registry in its network, seen through one client.
struct Desk<'a> {
    engine: &'a Dockerd,
    client: &'a Path,
    registry: String,
}

impl Desk<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.engine.client(self.client);
        command.args(arguments);
        command
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = text_of(&output);
        assert!(
            output.status.success(),
            "{:?} {arguments:?}: {text}",
            self.client
        );
        text
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = text_of(&output);
        assert!(
            !output.status.success(),
            "{:?} {arguments:?}: {text}",
            self.client
        );
        text
    }

    fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry)
    }

    fn log_in(&self, user: &str) {
        let password: String = user.chars().rev().collect();
        self.succeeds(&["login", "-u", user, "-p", &password, &self.registry]);
    }

    fn id_of(&self, image: &str) -> String {
        self.succeeds(&["image", "inspect", "--format", "{{.Id}}", image])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_build_push_pull() {
    let Some(engine) = Dockerd::start() else {
        return;
    };
    let server = Server::start_on(engine.listen()).await;
    let registry = server.address.to_string();
    let story = move || {
        for client in clients() {
            let desk = Desk {
                engine: &engine,
                client: &client,
                registry: registry.clone(),
            };
            build(&desk);
            without_login(&desk);
            wrong_password(&desk);
            push_and_pull(&desk);
            without_rights(&desk);
        }
    };
    tokio::task::spawn_blocking(story).await.unwrap();
}

fn build(desk: &Desk<'_>) {
    let context = tempfile::TempDir::new().unwrap();
    fs_err::write(
        context.path().join("file"),
        desk.client.display().to_string(),
    )
    .unwrap();
    fs_err::write(
        context.path().join("Dockerfile"),
        "FROM scratch\nCOPY file /file\nLABEL made=for-the-test\n",
    )
    .unwrap();
    let path = context.path().to_str().unwrap();
    desk.succeeds(&["build", "-t", &desk.image("team/app:v1"), path]);
}

fn without_login(desk: &Desk<'_>) {
    let text = desk.fails(&["push", &desk.image("team/app:v1")]);
    assert!(text.contains("docker login"), "{text}");
}

fn wrong_password(desk: &Desk<'_>) {
    let text = desk.fails(&["login", "-u", "maintainer", "-p", "guess", &desk.registry]);
    assert!(text.contains("wrong user name"), "{text}");
}

fn push_and_pull(desk: &Desk<'_>) {
    let image = desk.image("team/app:v1");
    desk.log_in("maintainer");
    let id = desk.id_of(&image);
    desk.succeeds(&["push", &image]);
    // Its layers are mounted from the first.
    let copy = desk.image("team/copy/deeper:v1");
    desk.succeeds(&["tag", &image, &copy]);
    let pushed = desk.succeeds(&["push", &copy]);
    assert!(pushed.contains("Mounted from team/app"), "{pushed}");
    for image in [&image, &copy] {
        desk.succeeds(&["rmi", image]);
    }
    desk.fails(&["image", "inspect", &image]);
    for image in [&image, &copy] {
        desk.succeeds(&["pull", image]);
        assert_eq!(desk.id_of(image), id);
    }
    desk.succeeds(&["logout", &desk.registry]);
}

fn without_rights(desk: &Desk<'_>) {
    let image = desk.image("team/app:v1");
    desk.log_in("reporter");
    desk.succeeds(&["pull", &image]);
    let text = desk.fails(&["push", &image]);
    assert!(text.contains("you may not push to team/app"), "{text}");
    for name in ["no/such:v1", "team/none:v1"] {
        let text = desk.fails(&["pull", &desk.image(name)]);
        assert!(
            text.contains("no project for")
                || text.contains("not found")
                || text.contains("holds no image"),
            "{text}"
        );
    }
    let unknown = desk.image("no/such:v1");
    desk.succeeds(&["tag", &image, &unknown]);
    let text = desk.fails(&["push", &unknown]);
    assert!(text.contains("no project for"), "{text}");
    desk.succeeds(&["logout", &desk.registry]);
}
