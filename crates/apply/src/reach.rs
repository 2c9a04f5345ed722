//! The way to a host's engine: a Unix socket, TCP with TLS, or SSH.
//!
//! A host that is reached by SSH has one connection, which everybody who asks this [`Reach`] for it
//! shares. Where keys and certificates are comes in as values; nothing here reads the process's
//! environment.

mod error;
mod way;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use deploy::HostName;
use docker::{ByteStream, Connecting, Connector, DockerError, Engine, Patience, TlsFiles};
use ssh::{Client, SshError};

pub use error::{ReachError, hint_of};
pub use way::Way;

/// Where an engine listens unless it was told otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// An SSH connection may have to be made anew, with keys that a person unlocks.
const SSH_CONNECT: Duration = Duration::from_secs(120);

/// What hosts are reached with.
#[derive(Debug, Clone)]
pub struct Means {
    /// For hosts that are reached by TCP.
    pub tls: Option<TlsFiles>,
    /// For hosts that are reached by SSH.
    pub ssh: ssh::Access,
}

/// Connects to hosts.
#[derive(Debug)]
pub struct Reach {
    means: Means,
    machines: Mutex<BTreeMap<HostName, Client>>,
}

impl Reach {
    /// With these means; nothing is connected yet.
    pub fn new(means: Means) -> Self {
        Self {
            means,
            machines: Mutex::default(),
        }
    }

    /// Connects to a host's engine.
    ///
    /// # Errors
    /// When the host's name is no address, or there is no way to its engine: why, and whose fault.
    pub async fn connect(&self, host: &HostName) -> Result<Engine, ReachError> {
        match Way::to(host)? {
            Way::Engine(address) => {
                let connected = Engine::connect(&address, self.means.tls.as_ref()).await;
                connected.map_err(|error| ReachError::Docker(Box::new(error)))
            }
            Way::Ssh(address) => {
                let socket = address.path.clone();
                let client = self.client(host, address);
                over_ssh(host, client, socket).await
            }
        }
    }

    fn client(&self, host: &HostName, address: ssh::SshAddress) -> Client {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let access = || self.means.ssh.clone();
        let client = machines
            .entry(host.clone())
            .or_insert_with(|| Client::new(address, access()));
        client.clone()
    }
}

async fn over_ssh(
    host: &HostName,
    client: Client,
    socket: Option<String>,
) -> Result<Engine, ReachError> {
    let connected = client.connect().await;
    connected.map_err(|error| ReachError::ssh(host, error))?;
    let connector = Arc::new(SshConnector::new(client, socket));
    let patience = Patience {
        connect: SSH_CONNECT,
        ..Patience::default()
    };
    let engine = Engine::over(Arc::clone(&connector) as _, host.as_str(), patience).await;
    engine.map_err(|error| connector.explain(host, error))
}

/// Streams to an engine's socket on another machine: forwarded by its sshd, or where that is
/// forbidden, by the Docker client that is installed there.
struct SshConnector {
    client: Client,
    socket: String,
    forwarder: String,
    /// Forwarding works here: when it fails later, the engine is at fault.
    forwards: OnceLock<()>,
    /// Why the socket was not forwarded.
    refusal: OnceLock<String>,
}

impl SshConnector {
    fn new(client: Client, socket: Option<String>) -> Self {
        let forwarder = match &socket {
            Some(path) => format!("docker -H unix://{} system dial-stdio", quoted(path)),
            None => "docker system dial-stdio".to_owned(),
        };
        Self {
            client,
            socket: socket.unwrap_or_else(|| SOCKET.to_owned()),
            forwarder,
            forwards: OnceLock::new(),
            refusal: OnceLock::new(),
        }
    }

    async fn open(&self) -> Result<ssh::Stream, SshError> {
        match self.client.socket(&self.socket).await {
            Ok(stream) => {
                self.forwards.get_or_init(|| ());
                Ok(stream)
            }
            Err(refused @ SshError::Socket { .. }) if self.forwards.get().is_none() => {
                self.refusal.get_or_init(|| refused.to_string());
                self.client.command(&self.forwarder).await
            }
            Err(error) => Err(error),
        }
    }

    /// When both ways failed, both reasons are told.
    fn explain(&self, host: &HostName, error: DockerError) -> ReachError {
        match self.refusal.get() {
            Some(refusal) => ReachError::NoEngine {
                host: host.clone(),
                refusal: refusal.clone(),
                source: Box::new(error),
            },
            None => ReachError::Docker(Box::new(error)),
        }
    }
}

impl Connector for SshConnector {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = self.open().await.map_err(io::Error::other)?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
