//! One engine: how it is connected to, how long anything may take, and how every call ends in an
//! answer or an error that names it.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as Reply;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::timeout;

use crate::address::EngineAddress;
use crate::archive::Sent;
use crate::connector::{Connector, TcpConnector, UnixConnector};
use crate::error::{DockerError, Operation, Problem};
use crate::time::timestamp;
use crate::tls::TlsFiles;
use crate::transport::Transport;
use crate::version::{ApiVersion, EngineVersion};

/// A Docker engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    pub(crate) transport: Arc<Transport>,
    address: Arc<str>,
    version: Arc<EngineVersion>,
    patience: Patience,
}

/// How long an engine may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To open a stream to it.
    pub connect: Duration,
    /// To answer a request, beyond the time that the request itself asks for (a grace period).
    pub answer: Duration,
    /// Between two signs of life while an image or an archive is on its way.
    pub transfer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            transfer: Duration::from_secs(300),
        }
    }
}

/// The parts of `/version` that matter.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    version: String,
    api_version: String,
    #[serde(default, rename = "MinAPIVersion")]
    oldest: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    kernel_version: String,
}

impl Engine {
    /// Connects to the engine at an address, and agrees with it on a version of the API.
    ///
    /// # Errors
    /// When it does not answer, is too old, or is on another machine and no certificates are given.
    pub async fn connect(
        address: &EngineAddress,
        tls: Option<&TlsFiles>,
    ) -> Result<Self, DockerError> {
        let error = |problem| DockerError::new(&connecting(), address, problem);
        let connector: Arc<dyn Connector> = match (address, tls) {
            (EngineAddress::Unix(path), _) => Arc::new(UnixConnector::new(path)),
            (EngineAddress::Tcp { host, port }, Some(files)) => {
                let connector = TcpConnector::with_tls(host, *port, files);
                Arc::new(connector.map_err(|wrong| error(wrong.into()))?)
            }
            (EngineAddress::Tcp { host, port }, None) if address.is_local() => {
                Arc::new(TcpConnector::plain(host, *port))
            }
            (EngineAddress::Tcp { .. }, None) => return Err(error(Problem::NeedsTls)),
        };
        Self::over(connector, &address.to_string(), Patience::default()).await
    }

    /// Connects over streams that somebody else opens; `address` is for messages.
    ///
    /// # Errors
    /// When the engine does not answer or is too old.
    pub async fn over(
        connector: Arc<dyn Connector>,
        address: &str,
        patience: Patience,
    ) -> Result<Self, DockerError> {
        let error = |problem| DockerError::new(&connecting(), address, problem);
        let transport = Arc::new(Transport::new(connector, patience.connect));
        let answer = timeout(patience.answer, transport.get("/version")).await;
        let answer = answer.map_err(|_| error(Problem::TimedOut(patience.answer)))?;
        let version = EngineVersion::agree(answer.map_err(error)?).map_err(error)?;
        transport.speak(version.spoken);
        let docker = bollard_over(&transport).map_err(|wrong| error(wrong.into()))?;
        Ok(Self {
            docker,
            transport,
            address: address.into(),
            version: Arc::new(version),
            patience,
        })
    }

    /// The same engine, with other limits of time. That of opening streams stays.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Where it is, as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it said about itself when it was connected to.
    pub fn version(&self) -> &EngineVersion {
        &self.version
    }

    /// Whether it still answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DockerError> {
        let operation = Operation::plain("ask the Docker engine whether it is there");
        self.call(&operation, self.docker.ping()).await?;
        Ok(())
    }

    /// The time by the engine's own clock.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn time(&self) -> Result<Timestamp, DockerError> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "SystemTime")]
            time: String,
        }
        let operation = Operation::plain("ask for the time");
        let asking = async {
            let info: Info = self.transport.get("/info").await?;
            let time = timestamp(Some(&info.time));
            time.ok_or_else(|| Problem::Strange(format!("`{}` is no time", info.time)))
        };
        self.call(&operation, asking).await
    }

    /// Carries out a call that should be answered at once.
    pub(crate) async fn call<T, E: Into<Problem>>(
        &self,
        operation: &Operation,
        doing: impl Future<Output = Result<T, E>>,
    ) -> Result<T, DockerError> {
        self.call_within(Duration::ZERO, operation, doing).await
    }

    /// Carries out a call that may by itself take this long.
    pub(crate) async fn call_within<T, E: Into<Problem>>(
        &self,
        long: Duration,
        operation: &Operation,
        doing: impl Future<Output = Result<T, E>>,
    ) -> Result<T, DockerError> {
        let limit = self.patience.answer.saturating_add(long);
        match timeout(limit, doing).await {
            Ok(outcome) => outcome.map_err(|wrong| self.error(operation, wrong)),
            Err(_) => Err(self.error(operation, Problem::TimedOut(limit))),
        }
    }

    /// Reads a stream to its end, as long as something comes, or goes, within the time for
    /// transfers.
    pub(crate) async fn transfer<T>(
        &self,
        operation: &Operation,
        sent: &Sent,
        mut stream: impl Stream<Item = Result<T, Reply>> + Unpin,
        mut each: impl FnMut(T),
    ) -> Result<(), DockerError> {
        loop {
            let next = self.unless_dead(operation, sent, stream.next());
            match next.await? {
                Some(Ok(item)) => each(item),
                Some(Err(wrong)) => return Err(self.error(operation, wrong)),
                None => return Ok(()),
            }
        }
    }

    /// Waits as long as more has been sent each time that the time for transfers is over.
    pub(crate) async fn unless_dead<T>(
        &self,
        operation: &Operation,
        sent: &Sent,
        doing: impl Future<Output = T>,
    ) -> Result<T, DockerError> {
        let patience = self.patience.transfer;
        let mut doing = pin!(doing);
        loop {
            let before = sent.bytes();
            match timeout(patience, &mut doing).await {
                Ok(done) => return Ok(done),
                Err(_) if sent.bytes() > before => {}
                Err(_) => return Err(self.error(operation, Problem::TimedOut(patience))),
            }
        }
    }

    /// The time between two signs of life of a transfer.
    pub(crate) fn transfer_patience(&self) -> Duration {
        self.patience.transfer
    }

    pub(crate) fn error(&self, operation: &Operation, wrong: impl Into<Problem>) -> DockerError {
        DockerError::new(operation, &self.address, wrong)
    }

    /// For streams that outlive the call.
    pub(crate) fn errors_of(
        &self,
        operation: Operation,
    ) -> impl Fn(Reply) -> DockerError + Send + use<> {
        let address = Arc::clone(&self.address);
        move |wrong| DockerError::new(&operation, &address, wrong)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.address)
    }
}

impl EngineVersion {
    fn agree(answer: VersionAnswer) -> Result<Self, Problem> {
        let strange = |text: &str| Problem::Strange(format!("`{text}` is no version of an API"));
        let parse = |text: &str| text.parse::<ApiVersion>().map_err(|_| strange(text));
        let api = parse(&answer.api_version)?;
        let oldest_api = match answer.oldest.as_str() {
            "" => api,
            oldest => parse(oldest)?,
        };
        let spoken = ApiVersion::common(oldest_api, api).ok_or(Problem::Version {
            oldest: oldest_api,
            newest: api,
        })?;
        Ok(Self {
            engine: answer.version,
            api,
            oldest_api,
            spoken,
            os: answer.os,
            architecture: answer.arch,
            kernel: answer.kernel_version,
        })
    }
}

fn connecting() -> Operation {
    Operation::plain("connect to the Docker engine")
}

/// bollard's own limit of time is set beyond all of ours, which know what a call may take.
fn bollard_over(transport: &Arc<Transport>) -> Result<Docker, Reply> {
    const BEYOND: Duration = Duration::from_secs(365 * 24 * 3600);
    let transport = Arc::clone(transport);
    let send = move |request: BollardRequest| {
        let transport = Arc::clone(&transport);
        async move { transport.send(request).await }
    };
    Docker::connect_with_custom_transport(
        send,
        Some("http://docker"),
        BEYOND.as_secs(),
        API_DEFAULT_VERSION,
    )
}
