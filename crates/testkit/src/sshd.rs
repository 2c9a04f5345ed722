//! An OpenSSH server of a test's own: one process for each connection, which the test can stop and
//! kill, on a port of this machine that the test holds itself.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";
/// Root's sshd wants an empty folder of this name, which it gets in a `/run` of its own.
const AS_ROOT: &str =
    "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -i -e -f $0";

/// A server, and the home of a user who has no key yet: `home` in its folder. Dropping it ends
/// every connection.
pub struct Sshd {
    folder: TempDir,
    port: u16,
    connections: Arc<Mutex<Vec<Child>>>,
}

impl Sshd {
    /// With the host keys `host_ed25519` and, unless a further line of configuration names it,
    /// unused `host_ecdsa`. `{folder}` in these lines is the server's folder. `None`, said aloud,
    /// where there is no sshd.
    ///
    /// # Panics
    /// When it cannot be set up, or where nothing may be skipped.
    pub fn start(more: &[&str]) -> Option<Self> {
        if !Path::new(SSHD).is_file() {
            crate::skip("openssh-server is not installed");
            return None;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
        let server = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            port: listener.local_addr().expect("it listens").port(),
            connections: Arc::default(),
        };
        fs_err::create_dir_all(server.path("home/.ssh")).expect("the folder is ours");
        make_key("ed25519", "", &server.path("host_ed25519"));
        make_key("ecdsa", "", &server.path("host_ecdsa"));
        fs_err::write(server.path("authorized"), "").expect("the folder is ours");
        fs_err::write(server.path("config"), server.configuration(more))
            .expect("the folder is ours");
        let (config, connections) = (server.path("config"), Arc::clone(&server.connections));
        thread::spawn(move || serve(&listener, &config, &connections));
        Some(server)
    }

    fn configuration(&self, more: &[&str]) -> String {
        let own = [
            format!("HostKey {}", self.text("host_ed25519")),
            format!("AuthorizedKeysFile {}", self.text("authorized")),
            "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none".to_owned(),
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel ERROR".to_owned(),
        ];
        let folder = self.folder.path().display().to_string();
        let more = more.iter().map(|line| line.replace("{folder}", &folder));
        let lines = own.into_iter().chain(more);
        lines.map(|line| line + "\n").collect()
    }

    /// A path in the server's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the server's folder, as a text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The server's port of `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The line of known_hosts that pins one of the server's keys, or another key of its folder.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn pin(&self, key: &str) -> String {
        let public = fs_err::read_to_string(self.path(key).with_extension("pub"));
        let public = public.expect("the key is there");
        let words: Vec<&str> = public.split(' ').take(2).collect();
        format!("[127.0.0.1]:{} {}\n", self.port, words.join(" "))
    }

    /// Makes a key in the server's folder that the server lets the user in by.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn user_key(&self, kind: &str, phrase: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        make_key(kind, phrase, &path);
        let public = fs_err::read(path.with_extension("pub")).expect("the key was made");
        fs_err::OpenOptions::new()
            .append(true)
            .open(self.path("authorized"))
            .and_then(|mut authorized| authorized.write_all(&public))
            .expect("the folder is ours");
        path
    }

    /// Sends a signal, such as `-KILL`, to every process that serves a connection.
    pub fn signal(&self, signal: &str) {
        for child in lock(&self.connections).iter() {
            let group = format!("-{}", child.id());
            // One that has ended already is no matter.
            let _ended = Command::new("kill")
                .args([signal, "--", &group])
                .stderr(Stdio::null())
                .status();
        }
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        lock(&self.connections).len()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.signal("-KILL");
        for child in lock(&self.connections).iter_mut() {
            let _status = child.wait();
        }
    }
}

/// The user that runs the test.
///
/// # Panics
/// When they have no name.
pub fn me() -> String {
    let output = Command::new("id").arg("-un").output();
    let name = String::from_utf8(output.expect("`id` is installed").stdout);
    name.expect("names of users are texts").trim().to_owned()
}

/// Makes a key with `ssh-keygen`.
///
/// # Panics
/// When it cannot be made.
pub fn make_key(kind: &str, phrase: &str, path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", phrase, "-f"])
        .arg(path)
        .status();
    assert!(made.is_ok_and(|status| status.success()), "{kind} {path:?}");
}

fn serve(listener: &TcpListener, config: &Path, connections: &Mutex<Vec<Child>>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let child = spawn(stream, config).expect("sshd is installed");
        lock(connections).push(child);
    }
}

fn spawn(stream: TcpStream, config: &Path) -> io::Result<Child> {
    let is_root = rustix::process::geteuid().is_root();
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

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
