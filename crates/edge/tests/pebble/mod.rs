//! A real ACME server, Pebble, with its own DNS: `scripts/setup test` brings both.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::common::{PATIENCE, free_port};

/// How a test wants its CA.
pub struct Wish {
    /// Where it looks for proofs by HTTP.
    pub http: SocketAddr,
    /// Where it looks for proofs by TLS.
    pub tls: SocketAddr,
    /// The life of a certificate in seconds.
    pub validity: u64,
    /// How many of a hundred requests it refuses for their nonce.
    pub bad_nonces: u32,
}

/// A running CA with a DNS server for which every name is this machine.
pub struct Pebble {
    folder: tempfile::TempDir,
    wish: Wish,
    ports: [SocketAddr; 4],
    running: Vec<Child>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Wish {
    pub fn new(http: SocketAddr, tls: SocketAddr) -> Self {
        Self {
            http,
            tls,
            validity: 7_776_000,
            bad_nonces: 0,
        }
    }
}

impl Pebble {
    /// Nothing, and a word, where Pebble is not installed; a failure where it must be.
    pub async fn start(wish: Wish) -> Option<Self> {
        if tool("pebble").is_none() || tool("pebble-challtestsrv").is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "Pebble is missing: run scripts/setup test"
            );
            eprintln!("skipped: Pebble is missing, `scripts/setup test` installs it");
            return None;
        }
        let mut pebble = Self {
            folder: tempfile::tempdir().unwrap(),
            wish,
            ports: [free_port(), free_port(), free_port(), free_port()],
            running: Vec::new(),
            log: Arc::default(),
        };
        pebble.write_certificate();
        pebble.run().await;
        Some(pebble)
    }

    /// The address of the directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.ports[0].port())
    }

    /// The file that its server is known by.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// How many certificates were asked for.
    pub fn orders(&self) -> usize {
        let log = self.log.lock().unwrap();
        let orders = log.iter().filter(|line| line.contains("POST /order-plz"));
        orders.count()
    }

    /// The root of the certificates that it issues: another one at each start.
    pub async fn issuer(&self) -> CertificateDer<'static> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.root()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(trust)
            .build()
            .unwrap();
        let url = format!("https://localhost:{}/roots/0", self.ports[1].port());
        let pem = client.get(url).send().await.unwrap().bytes().await.unwrap();
        CertificateDer::from_pem_slice(&pem).unwrap()
    }

    pub async fn stop(&mut self) {
        for mut child in self.running.drain(..) {
            child.kill().await.unwrap();
        }
    }

    /// Starts it with nothing in its memory, at the same address.
    pub async fn run(&mut self) {
        let [listen, management, dns, dns_management] = self.ports;
        let config = serde_json::json!({"pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": self.root(),
            "privateKey": self.folder.path().join("server.key"),
            "httpPort": self.wish.http.port(),
            "tlsPort": self.wish.tls.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "", "validityPeriod": self.wish.validity}},
            // as older versions have it
            "certificateValidityPeriod": self.wish.validity,
        }});
        let path = self.folder.path().join("pebble.json");
        fs_err::write(&path, config.to_string()).unwrap();
        let mut names = Command::new(tool("pebble-challtestsrv").unwrap());
        names.args(["-dnsserver", &dns.to_string()]);
        names.args(["-management", &dns_management.to_string()]);
        names.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]);
        self.spawn(names);
        let mut pebble = Command::new(tool("pebble").unwrap());
        pebble.arg("-config").arg(path);
        pebble.args(["-dnsserver", &dns.to_string()]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        pebble.env("PEBBLE_AUTHZREUSE", "0");
        pebble.env("PEBBLE_WFE_NONCEREJECT", self.wish.bad_nonces.to_string());
        self.spawn(pebble);
        for address in [listen, management, dns_management] {
            self.await_port(address).await;
        }
    }

    fn spawn(&mut self, mut command: Command) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = Arc::clone(&self.log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.lock().unwrap().push(line);
            }
        });
        self.running.push(child);
    }

    async fn await_port(&self, address: SocketAddr) {
        let started = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let log = || self.log.lock().unwrap().join("\n");
            assert!(started.elapsed() < PATIENCE, "no Pebble: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn write_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs_err::write(self.root(), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        fs_err::write(self.folder.path().join("server.key"), key).unwrap();
    }
}

/// Where `scripts/setup` puts it, or where the user has it.
fn tool(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/lotse/tools"));
    let own = std::env::var_os("LOTSE_TOOLS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = own
        .into_iter()
        .chain(home)
        .chain(std::iter::once(PathBuf::from("/var/cache/lotse/tools")))
        .chain(std::env::split_paths(&path));
    let mut files = folders.map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
