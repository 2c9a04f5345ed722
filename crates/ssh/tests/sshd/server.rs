//! An OpenSSH server of a test's own: one process for each connection, which the test can stop and
//! kill, on a port of this machine that the test holds itself.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use ssh::{Access, Client, Stream, TrustSource};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

const SSHD: &str = "/usr/sbin/sshd";
/// Root's sshd wants an empty folder of this name, which it gets in a `/run` of its own.
const AS_ROOT: &str =
    "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -i -e -f $0";

/// A server, and the home of a user who has no key yet.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    connections: Arc<Mutex<Vec<Child>>>,
}

impl Server {
    /// With an Ed25519 host key and these further lines of configuration; nothing, said aloud, where
    /// there is no sshd.
    pub(crate) fn start(more: &[&str]) -> Option<Self> {
        if !Path::new(SSHD).is_file() {
            testkit::skip("openssh-server is not installed");
            return None;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = Self {
            folder: tempfile::tempdir().unwrap(),
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
        };
        fs_err::create_dir_all(server.path("home/.ssh")).unwrap();
        make_key("ed25519", "", &server.path("host_ed25519"));
        make_key("ecdsa", "", &server.path("host_ecdsa"));
        fs_err::write(server.path("authorized"), "").unwrap();
        fs_err::write(server.path("config"), server.configuration(more)).unwrap();
        let (config, connections) = (server.path("config"), Arc::clone(&server.connections));
        thread::spawn(move || serve(&listener, &config, &connections));
        Some(server)
    }

    fn configuration(&self, more: &[&str]) -> String {
        let own = [
            format!("HostKey {}", self.path("host_ed25519").display()),
            format!("AuthorizedKeysFile {}", self.path("authorized").display()),
            "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none".to_owned(),
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel ERROR".to_owned(),
        ];
        let more = more
            .iter()
            .map(|line| line.replace("{folder}", &self.text("")));
        own.into_iter()
            .chain(more)
            .map(|line| line + "\n")
            .collect()
    }

    /// A path in the server's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The public key of the server as `known_hosts` has it, for this server.
    pub(crate) fn pin(&self, key: &str) -> String {
        let public = fs_err::read_to_string(self.path(key).with_extension("pub")).unwrap();
        let words: Vec<&str> = public.split(' ').take(2).collect();
        format!("[127.0.0.1]:{} {}\n", self.port, words.join(" "))
    }

    /// Makes a key of the user that the server accepts.
    pub(crate) fn user_key(&self, kind: &str, phrase: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        make_key(kind, phrase, &path);
        let public = fs_err::read(path.with_extension("pub")).unwrap();
        let authorized = fs_err::OpenOptions::new()
            .append(true)
            .open(self.path("authorized"));
        authorized.unwrap().write_all(&public).unwrap();
        path
    }

    /// A user with nothing but a home, who trusts what `text` pins.
    pub(crate) fn access(&self, text: impl Into<String>) -> Access {
        let mut access = Access::of_user(me(), self.path("home"));
        access.configs.truncate(1);
        access.trust = vec![TrustSource::Text {
            name: "PINNED".to_owned(),
            text: text.into(),
        }];
        access
    }

    /// A user who may come in, and knows the host.
    pub(crate) fn friend(&self) -> Client {
        if !self.path("home/.ssh/id_ed25519").exists() {
            self.user_key("ed25519", "", "home/.ssh/id_ed25519");
        }
        self.client(self.access(self.pin("host_ed25519")))
    }

    pub(crate) fn client(&self, access: Access) -> Client {
        let address = format!("ssh://127.0.0.1:{}", self.port);
        Client::new(address.parse().unwrap(), access)
    }

    /// Sends a signal to every process that serves a connection.
    pub(crate) fn signal(&self, signal: &str) {
        for child in self.connections.lock().unwrap().iter() {
            let group = format!("-{}", child.id());
            // One that has ended already is no matter.
            let _ = Command::new("kill")
                .args([signal, "--", &group])
                .stderr(Stdio::null())
                .status();
        }
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("-KILL");
        for child in self.connections.lock().unwrap().iter_mut() {
            let _ = child.wait();
        }
    }
}

/// The user that runs the test.
pub(crate) fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn make_key(kind: &str, phrase: &str, path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", phrase, "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

fn serve(listener: &TcpListener, config: &Path, connections: &Mutex<Vec<Child>>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let child = spawn(stream, config).unwrap();
        connections.lock().unwrap().push(child);
    }
}

fn spawn(stream: TcpStream, config: &Path) -> io::Result<Child> {
    let is_root = me() == "root";
    let mut command = Command::new(if is_root { "unshare" } else { SSHD });
    match is_root {
        true => command.args(["--mount", "sh", "-c", AS_ROOT]).arg(config),
        false => command.args(["-i", "-e", "-f"]).arg(config),
    };
    let mut log = fs_err::OpenOptions::new();
    let log = log
        .create(true)
        .append(true)
        .open(config.with_extension("log"))?;
    command
        .stdin(OwnedFd::from(stream.try_clone()?))
        .stdout(OwnedFd::from(stream))
        .stderr(log.into_file())
        .process_group(0)
        .spawn()
}

/// A Unix socket that gives back what it gets, and ends when its client does.
pub(crate) fn echo(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _cut = tokio::io::copy(&mut from, &mut to).await;
                let _cut = to.shutdown().await;
            });
        }
    });
}

/// Says something, and hears it again.
pub(crate) async fn converse(stream: &mut Stream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await?;
    assert_eq!(heard, text.as_bytes());
    Ok(())
}
