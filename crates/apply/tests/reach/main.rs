//! Real engines, reached over an OpenSSH server.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute only, not their helpers"
)]

use std::time::Duration;

use apply::reach::{Means, Reach, ReachError};
use deploy::HostName;
use docker::container::spec::ContainerSpec;
use docker::{Archive, Engine, Filter};
use ssh::{Access, SshError, TrustSource};
use testkit::busybox;
use testkit::dockerd::Dockerd;
use testkit::sshd::{Sshd, me};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(180);

/// A host with an engine, and a user who may come in.
struct Host {
    daemon: Dockerd,
    sshd: Sshd,
}

impl Host {
    fn start(more: &[&str]) -> Option<Self> {
        let sshd = Sshd::start(more)?;
        sshd.user_key("ed25519", "", "home/.ssh/id_ed25519");
        let daemon = Dockerd::start()?;
        Some(Self { daemon, sshd })
    }

    fn name(&self) -> HostName {
        let address = format!(
            "ssh://{}@127.0.0.1:{}{}",
            me(),
            self.sshd.port(),
            self.daemon.socket().display()
        );
        address.parse().unwrap()
    }

    async fn connect(&self) -> Result<Engine, ReachError> {
        reach(&self.sshd, &self.sshd.pin("host_ed25519"))
            .connect(&self.name())
            .await
    }
}

fn reach(sshd: &Sshd, pinned: &str) -> Reach {
    let mut ssh = Access::of_user(me(), sshd.path("home"));
    ssh.configs.truncate(1);
    ssh.trust = vec![TrustSource::Text {
        name: "SSH_KNOWN_HOSTS".to_owned(),
        text: pinned.to_owned(),
    }];
    Reach::new(Means { tls: None, ssh })
}

#[tokio::test]
async fn an_engine_works_through_ssh_as_beside_it() {
    let Some(host) = Host::start(&[]) else { return };
    let engine = host.connect().await.unwrap();
    work(&engine).await;
    assert_eq!(host.sshd.connections(), 1);
}

#[tokio::test]
async fn where_forwarding_is_forbidden_the_client_there_does_it() {
    let Some(host) = Host::start(&["AllowStreamLocalForwarding no"]) else {
        return;
    };
    let engine = host.connect().await.unwrap();
    work(&engine).await;
}

/// What a deploy does: an image, a container, its output, and questions at once.
async fn work(engine: &Engine) {
    if !busybox::is_installed() {
        return testkit::skip("busybox-static is not installed");
    }
    let image = "tools:1".parse().unwrap();
    let archive = Archive::whole(busybox::archive(&[("srv/hello", "hello\n")]));
    engine.import_image(&image, archive, &[]).await.unwrap();
    let mut spec = ContainerSpec::new(image);
    spec.command = Some(vec!["sleep".to_owned(), "1000".to_owned()]);
    let name = "web".parse().unwrap();
    engine.create_container(&name, &spec).await.unwrap();
    engine.start_container(&name).await.unwrap();
    let asked = (0..30).map(|_| {
        let (engine, name) = (engine.clone(), name.clone());
        tokio::spawn(async move { engine.inspect_container(&name).await })
    });
    for asked in asked.collect::<Vec<_>>() {
        let seen = timeout(SOON, asked).await.unwrap().unwrap().unwrap();
        assert!(seen.state.is_running());
    }
    assert_eq!(
        engine.list_containers(Filter::all()).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_cut_connection_is_made_anew_at_the_next_question() {
    let Some(host) = Host::start(&[]) else { return };
    let engine = host.connect().await.unwrap();
    engine.ping().await.unwrap();
    host.sshd.signal("-KILL");
    engine.ping().await.unwrap();
    assert_eq!(host.sshd.connections(), 2);
}

#[tokio::test]
async fn a_host_that_changed_is_refused_by_its_name() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let host: HostName = format!("ssh://127.0.0.1:{}", sshd.port()).parse().unwrap();
    let stranger = sshd.pin("host_ecdsa");
    let error = reach(&sshd, &stranger).connect(&host).await.unwrap_err();
    assert!(matches!(&error, ReachError::Ssh { source, .. }
        if matches!(**source, SshError::ChangedHost { .. })));
    let told = error.whole();
    assert!(
        told.contains(host.as_str()) && told.contains("HAS CHANGED"),
        "{told}"
    );
    assert!(error.hint().unwrap().contains("administrator"));
}

#[tokio::test]
async fn where_no_engine_is_both_ways_are_told() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    sshd.user_key("ed25519", "", "home/.ssh/id_ed25519");
    let socket = sshd.text("nothing.sock");
    let host = format!("ssh://127.0.0.1:{}{socket}", sshd.port());
    let reach = reach(&sshd, &sshd.pin("host_ed25519"));
    let error = reach.connect(&host.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ReachError::NoEngine { .. }), "{error}");
    let told = error.whole();
    assert!(
        told.contains("does not open") && told.contains("dial-stdio"),
        "{told}"
    );
    assert!(error.hint().unwrap().contains("group `docker`"));
}
