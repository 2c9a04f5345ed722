//! Every way to prove who one is, and what is said when none opens the door.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use ssh::{Access, Hidden, KeySource, SshError};

use crate::server::{Server, make_key, me};

/// Connects with what `change` makes of a user without keys, who is let in by a key at `user`.
async fn check(
    server: &Server,
    what: &str,
    change: impl FnOnce(&mut Access),
) -> Result<(), SshError> {
    let mut access = server.access(server.pin("host_ed25519"));
    change(&mut access);
    let shown = format!("{access:?}");
    assert!(
        !shown.contains("PRIVATE KEY") && !shown.contains("open sesame"),
        "{what}"
    );
    server.client(access).connect().await
}

fn text(path: &Path) -> KeySource {
    KeySource::Text {
        name: "LOTSE_SSH_KEY".to_owned(),
        text: Hidden::new(fs_err::read_to_string(path).unwrap()),
    }
}

#[tokio::test]
async fn every_source_of_keys_opens_the_door() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    for (kind, name) in [
        ("ed25519", "id_ed25519"),
        ("ecdsa", "id_ecdsa"),
        ("rsa", "id_rsa"),
    ] {
        let file = server.user_key(kind, "", &format!("home/.ssh/{name}"));
        check(&server, name, |_| {}).await.unwrap();
        let elsewhere = server.path(name);
        fs_err::rename(&file, &elsewhere).unwrap();
        check(&server, name, |access| access.keys.push(text(&elsewhere)))
            .await
            .unwrap();
        let named = KeySource::File(elsewhere.clone());
        check(&server, name, |access| access.keys.push(named))
            .await
            .unwrap();
    }
    let dos = fs_err::read_to_string(server.path("id_rsa"))
        .unwrap()
        .replace('\n', "\r\n");
    let dos = KeySource::Text {
        name: "LOTSE_SSH_KEY".to_owned(),
        text: Hidden::new(dos),
    };
    check(&server, "line ends of DOS", |access| access.keys.push(dos))
        .await
        .unwrap();
    let locked = server.user_key("ed25519", "open sesame", "locked");
    let with_phrase = |access: &mut Access| {
        access.keys.push(text(&locked));
        access.passphrase = Some(Hidden::new("open sesame"));
    };
    check(&server, "a passphrase", with_phrase).await.unwrap();
}

#[tokio::test]
async fn the_configuration_names_host_user_and_key() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    server.user_key("ed25519", "", "home/.ssh/special");
    let config = format!(
        "Host web\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile ~/.ssh/special\n  \
         UserKnownHostsFile ~/pinned\n",
        server.port(),
        me()
    );
    fs_err::write(server.path("home/.ssh/config"), config).unwrap();
    fs_err::write(server.path("home/pinned"), server.pin("host_ed25519")).unwrap();
    let mut access = server.access("");
    access.user = "nobody-of-this-name".to_owned();
    let client = ssh::Client::new("ssh://web".parse().unwrap(), access);
    client.connect().await.unwrap();
}

#[tokio::test]
async fn an_agent_signs() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let agent = Agent::start(&server);
    for kind in ["ed25519", "rsa"] {
        let key = server.user_key(kind, "", &format!("agent-{kind}"));
        agent.run(&["-q", &key.display().to_string()]);
        let with_agent = |access: &mut Access| access.agent = Some(agent.socket.clone());
        check(&server, kind, with_agent).await.unwrap();
        agent.run(&["-q", "-D"]);
    }
    // With `IdentitiesOnly`, only the key that a file names is asked for.
    let key = server.user_key("ed25519", "", "named");
    agent.run(&["-q", &key.display().to_string()]);
    fs_err::remove_file(&key).unwrap();
    for (file, opens) in [("named.pub", true), ("other.pub", false)] {
        let line = format!("IdentitiesOnly yes\nIdentityFile {}\n", server.text(file));
        fs_err::write(server.path("home/.ssh/config"), line).unwrap();
        let with_agent = |access: &mut Access| access.agent = Some(agent.socket.clone());
        assert_eq!(
            check(&server, file, with_agent).await.is_ok(),
            opens,
            "{file}"
        );
    }
    fs_err::remove_file(server.path("home/.ssh/config")).unwrap();
    let dead = server.path("no-agent");
    let error = check(&server, "dead", |access| access.agent = Some(dead))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no-agent (no answer)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_tells_what_was_tried() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let error = check(&server, "nothing", |_| {}).await.unwrap_err();
    assert!(
        error.to_string().ends_with("there is no key to come with"),
        "{error}"
    );

    make_key("ed25519", "", &server.path("home/.ssh/id_ed25519"));
    make_key("rsa", "secret", &server.path("home/.ssh/id_rsa"));
    let error = check(&server, "strangers", |_| {}).await.unwrap_err();
    let said = error.to_string();
    for part in [
        &format!(
            "127.0.0.1:{} does not let {} in; tried ",
            server.port(),
            me()
        ),
        "home/.ssh/id_ed25519 (SHA256:",
        "home/.ssh/id_rsa (it has a passphrase)",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(error.hint().unwrap().contains("authorized_keys"));

    let junk = KeySource::Text {
        name: "LOTSE_SSH_KEY".to_owned(),
        text: Hidden::new("hunter2"),
    };
    let error = check(&server, "junk", |access| access.keys.push(junk))
        .await
        .unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(
        said.contains("private key of LOTSE_SSH_KEY") && !said.contains("hunter2"),
        "{said}"
    );
    let missing = KeySource::File(server.path("missing"));
    let error = check(&server, "missing", |access| access.keys.push(missing))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn more_keys_than_the_host_hears() {
    let Some(server) = Server::start(&["MaxAuthTries 2"]) else {
        return;
    };
    let mut sources = Vec::new();
    for number in 0..4 {
        let path = server.path(&format!("key-{number}"));
        make_key("ed25519", "", &path);
        sources.push(KeySource::File(path));
    }
    let error = check(&server, "many", |access| access.keys = sources)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SshError::Refused { tried, .. } if tried.len() < 4),
        "{error}"
    );
}

struct Agent {
    process: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn start(server: &Server) -> Self {
        let socket = server.path("agent.sock");
        let process = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { process, socket };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !agent.socket.exists() {
            assert!(
                std::time::Instant::now() < deadline,
                "the agent does not start"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        agent
    }

    fn run(&self, arguments: &[&str]) {
        let added = Command::new("ssh-add")
            .env("SSH_AUTH_SOCK", &self.socket)
            .args(arguments)
            .status();
        assert!(added.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
