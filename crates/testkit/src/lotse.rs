//! The real program as its users meet it: `lotse serve` as a process with a data folder, a home and an
//! address of its own, asked over HTTP, by git and by its own command line.
//!
//! It can be killed and started again on the same data. It refuses to know what goes on inside: no
//! table, no file below the data folder but the first token.

mod browser;
mod events;
mod http;
mod program;
mod repository;
mod runner;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use browser::Browser;
pub use events::{Event, Events};
pub use http::{Answer, client};
pub use program::Ran;
pub use repository::{Pushed, Repository};
pub use runner::{RunnerProcess, RunnerSetup};
pub use watch::Snapshot;

/// How long anything that a test waits for may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PORT: u16 = 8929;

/// How a server is to be started.
#[derive(Debug, Default)]
pub struct Setup {
    /// The data folder; without it one that goes with the server.
    pub data: Option<PathBuf>,
    /// Further arguments of `lotse serve`.
    pub arguments: Vec<String>,
}

/// A running server. Dropping it kills it and removes its files; when a test fails, its log is shown.
pub struct Lotse {
    binary: PathBuf,
    folder: TempDir,
    data: PathBuf,
    arguments: Vec<String>,
    address: SocketAddr,
    process: Mutex<Option<Child>>,
    http: reqwest::Client,
    token: String,
}

impl Lotse {
    /// Starts the program (`env!("CARGO_BIN_EXE_lotse")`) and waits until it answers.
    ///
    /// # Panics
    /// When it does not; its log is in the message.
    pub async fn start(binary: &str) -> Self {
        Self::start_with(binary, Setup::default()).await
    }

    /// [`Lotse::start`] with another data folder or further arguments.
    ///
    /// # Panics
    /// As [`Lotse::start`].
    pub async fn start_with(binary: &str, setup: Setup) -> Self {
        let folder = TempDir::with_prefix("lotse-").expect("a temporary folder can be made");
        let data = setup.data.unwrap_or_else(|| folder.path().join("data"));
        let mut lotse = Self {
            binary: binary.into(),
            data,
            arguments: setup.arguments,
            address: own_address(),
            process: Mutex::default(),
            http: client(),
            token: String::new(),
            folder,
        };
        lotse.start_again().await;
        let token = fs_err::read_to_string(lotse.data.join("first-token"))
            .expect("the first start writes the first token");
        lotse.token = token.trim().to_owned();
        lotse
    }

    /// Where it is reached, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Address and port: also the host in the names of images.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token of the user `root`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process.
    ///
    /// # Panics
    /// When it has been killed.
    pub fn pid(&self) -> u32 {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().map(Child::id).expect("the server runs")
    }

    /// Ends it with SIGKILL, as a power cut would.
    pub fn kill(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut process) = process.take() {
            let _ended_before = process.kill();
            let _status = process.wait();
        }
    }

    /// Starts it again on the same data and address, and waits until it answers.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn start_again(&self) {
        let child = self.serve(&self.data, self.address);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let health = format!("{}/-/health", self.url());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.http.get(&health).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.ended();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server does not answer ({ended:?}):\n{}",
                self.server_log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the server has written to its outputs, all starts together.
    pub fn server_log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    fn ended(&self) -> Option<ExitStatus> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_mut().and_then(|child| child.try_wait().ok()?)
    }

    fn serve(&self, data: &Path, address: SocketAddr) -> Child {
        let log = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))
            .expect("the log can be written");
        let second = log.try_clone().expect("a file can be opened twice");
        let mut command = Command::new(&self.binary);
        program::hermetic(&mut command, &self.home())
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", &address.to_string()])
            .args(&self.arguments)
            .stdout(Stdio::from(log.into_file()))
            .stderr(Stdio::from(second.into_file()))
            .spawn()
            .expect("the program can be started")
    }

    /// A home without anything in it.
    fn home(&self) -> PathBuf {
        let home = self.folder.path().join("home");
        fs_err::create_dir_all(&home).expect("a home can be made");
        home
    }

    /// A fresh folder that goes with the server.
    fn fresh_folder(&self, kind: &str) -> PathBuf {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(format!("{kind}-{number}"));
        fs_err::create_dir_all(&folder).expect("a folder can be made");
        folder
    }
}

impl Drop for Lotse {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.server_log());
        }
    }
}

/// An address of the loopback network that no other test of this or another process uses: while a
/// server is down between two starts, nobody else can get its port.
fn own_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let ip = Ipv4Addr::new(127, high.wrapping_add(middle) | 0x80, low, number);
    SocketAddr::from((ip, PORT))
}
