//! One connection: made, guarded by the pinned host keys, and logged in on.

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Handle, Handler, Msg};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Disconnect, Error as Wrong, Preferred};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::access::{Access, TrustSource};
use crate::address::SshAddress;
use crate::config::{self, HostConfig};
use crate::error::SshError;
use crate::known_hosts::{Pinned, Verdict, line_for};
use crate::login::Login;

/// Until the host has accepted the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// From there until the user is logged in, people who unlock keys of an agent included.
const LOG_IN: Duration = Duration::from_secs(90);
/// Of these, until the host has shown its key.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// A silent host is asked after this, and given up after three questions.
const SILENCE: Duration = Duration::from_secs(5);
const QUESTIONS: usize = 2;
/// What is sent and not confirmed for so long is lost: the network is cut.
const UNCONFIRMED: Duration = Duration::from_secs(15);
/// Packets that wait for a slow reader, at most 32 KiB each; beyond them the whole connection waits.
const WAITING: usize = 1024;
const DEFAULT_PORT: u16 = 22;

/// A connection on which the user is logged in.
pub(crate) struct Session {
    handle: Handle<Guard>,
    /// The host, with its port.
    pub(crate) host: String,
    end: Arc<OnceLock<String>>,
}

/// Why a channel was not opened.
pub(crate) enum NotOpened {
    /// The host refuses.
    Refused(String),
    /// The connection is gone.
    Gone(String),
}

impl Session {
    /// Connects, checks the host's key and logs in.
    pub(crate) async fn start(address: &SshAddress, access: &Access) -> Result<Self, SshError> {
        let config = config::read(access, &address.host)?;
        let target = Target::new(address, access, &config);
        let (name, port) = &target.pinned_name;
        let pinned = Pinned::read(&trusted(access, &config), name, *port)?;
        let stream = target.connect().await?;
        let end = Arc::new(OnceLock::new());
        let guard = Guard {
            pinned,
            name: target.pinned_name.clone(),
            host: target.shown.clone(),
            end: Arc::clone(&end),
        };
        let settings = Arc::new(settings(&guard.pinned));
        let greeting = timeout(HANDSHAKE, client::connect_stream(settings, stream, guard));
        let mut handle = match greeting.await {
            Ok(Ok(handle)) => handle,
            Ok(Err(Ended::Untrusted(error))) => return Err(*error),
            Ok(Err(Ended::Broken(why))) => return Err(target.handshake(&why)),
            Err(_) => return Err(target.timed_out(HANDSHAKE)),
        };
        let login = Login {
            handle: &mut handle,
            host: target.shown.clone(),
            user: &target.user,
            access,
            config: &config,
            tried: Vec::new(),
        };
        match timeout(LOG_IN, login.run()).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(target.timed_out(LOG_IN)),
        }
        Ok(Self {
            handle,
            host: target.shown,
            end,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Opens a channel to a Unix socket of the host.
    pub(crate) async fn socket(&self, path: &str) -> Result<Channel<Msg>, NotOpened> {
        let opening = self.handle.channel_open_direct_streamlocal(path);
        opening.await.map_err(|wrong| self.not_opened(&wrong))
    }

    /// Opens a channel on which a command can be started.
    pub(crate) async fn session(&self) -> Result<Channel<Msg>, NotOpened> {
        let opening = self.handle.channel_open_session();
        opening.await.map_err(|wrong| match wrong {
            Wrong::ChannelOpenFailure(_) => {
                NotOpened::Refused("its sshd starts no further sessions".to_owned())
            }
            wrong => self.not_opened(&wrong),
        })
    }

    fn not_opened(&self, wrong: &Wrong) -> NotOpened {
        match wrong {
            Wrong::ChannelOpenFailure(reason) => NotOpened::Refused(reason_of(reason)),
            _ => NotOpened::Gone(self.why_ended()),
        }
    }

    /// Why the connection ended, as far as it is known.
    pub(crate) fn why_ended(&self) -> String {
        let why = self.end.get().cloned();
        why.unwrap_or_else(|| "it was closed".to_owned())
    }

    /// Says good-bye.
    pub(crate) async fn end(&self) {
        let bye = self.handle.disconnect(Disconnect::ByApplication, "", "");
        // Whoever does not listen any more needs no good-bye.
        let _gone = timeout(Duration::from_secs(1), bye).await;
    }
}

fn reason_of(reason: &ChannelOpenFailure) -> String {
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "its sshd forbids it".to_owned(),
        ChannelOpenFailure::ConnectFailed => {
            "it is not there, the user may not use it, or sshd forbids it".to_owned()
        }
        ChannelOpenFailure::UnknownChannelType => "its sshd cannot do that".to_owned(),
        ChannelOpenFailure::ResourceShortage => "it has no room for another".to_owned(),
        ChannelOpenFailure::Other { reason, .. } => reason.clone(),
    }
}

/// Where an address leads, with the configuration's help.
struct Target {
    host: String,
    port: u16,
    user: String,
    /// For messages.
    shown: String,
    /// What the host's key is pinned under.
    pinned_name: (String, u16),
}

impl Target {
    fn new(address: &SshAddress, access: &Access, config: &HostConfig) -> Self {
        let host = config
            .host_name
            .clone()
            .unwrap_or_else(|| address.host.clone());
        let port = address.port.or(config.port).unwrap_or(DEFAULT_PORT);
        let user = address.user.clone().or_else(|| config.user.clone());
        let pinned_name = match &config.key_alias {
            Some(alias) => (alias.clone(), DEFAULT_PORT),
            None => (host.clone(), port),
        };
        Self {
            pinned_name,
            shown: shown(&host, port),
            user: user.unwrap_or_else(|| access.user.clone()),
            host,
            port,
        }
    }

    async fn connect(&self) -> Result<TcpStream, SshError> {
        let failed = |why| SshError::Connect {
            host: self.shown.clone(),
            why,
        };
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = match timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(self.timed_out(CONNECT)),
        };
        stream.set_nodelay(true).map_err(failed)?;
        SockRef::from(&stream)
            .set_tcp_user_timeout(Some(UNCONFIRMED))
            .map_err(failed)?;
        Ok(stream)
    }

    fn timed_out(&self, limit: Duration) -> SshError {
        SshError::TimedOut {
            host: self.shown.clone(),
            limit,
        }
    }

    fn handshake(&self, why: &Wrong) -> SshError {
        SshError::Handshake {
            host: self.shown.clone(),
            why: why.to_string(),
        }
    }
}

/// Files that the configuration names stand in place of the usual ones; variables stay.
fn trusted(access: &Access, config: &HostConfig) -> Vec<TrustSource> {
    let Some(files) = &config.known_hosts else {
        return access.trust.clone();
    };
    let texts = access.trust.iter();
    let texts = texts.filter(|source| matches!(source, TrustSource::Text { .. }));
    let files = files.iter().cloned().map(TrustSource::File);
    texts.cloned().chain(files).collect()
}

fn shown(host: &str, port: u16) -> String {
    match (port, host.contains(':')) {
        (DEFAULT_PORT, _) => host.to_owned(),
        (_, true) => format!("[{host}]:{port}"),
        (_, false) => format!("{host}:{port}"),
    }
}

fn settings(pinned: &Pinned) -> client::Config {
    let default = Preferred::default();
    let kinds: Vec<_> = pinned.algorithms().collect();
    // A host shows one key of several: one that is pinned, if it can.
    let mut keys = default.key.to_vec();
    keys.sort_by_key(|kind| !kinds.iter().any(|pinned| same_kind(pinned, kind)));
    client::Config {
        preferred: Preferred {
            key: Cow::Owned(keys),
            ..default
        },
        channel_buffer_size: WAITING,
        keepalive_interval: Some(SILENCE),
        keepalive_max: QUESTIONS,
        nodelay: true,
        ..client::Config::default()
    }
}

/// An RSA key signs with several hashes.
fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    let is_rsa = |kind: &Algorithm| matches!(kind, Algorithm::Rsa { .. });
    one == other || (is_rsa(one) && is_rsa(other))
}

/// Watches over a connection: whom it leads to, and why it ended.
pub(crate) struct Guard {
    pinned: Pinned,
    name: (String, u16),
    host: String,
    end: Arc<OnceLock<String>>,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The host is not the one that it should be.
    Untrusted(Box<SshError>),
    /// Anything else.
    Broken(Wrong),
}

impl From<Wrong> for Ended {
    fn from(wrong: Wrong) -> Self {
        Self::Broken(wrong)
    }
}

/// Channels are opened by us alone: a host that asks for one gets none. russh accepts what is not
/// refused.
macro_rules! refuse {
    ($($open:ident($($what:ty),*);)*) => {$(
        async fn $open(
            &mut self,
            _channel: Channel<Msg>,
            $(_: $what,)*
            reply: ChannelOpenHandle,
            _session: &mut client::Session,
        ) -> Result<(), Ended> {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            Ok(())
        }
    )*};
}

impl Handler for Guard {
    type Error = Ended;

    refuse! {
        server_channel_open_session();
        server_channel_open_agent_forward();
        server_channel_open_forwarded_tcpip(&str, u32, &str, u32);
        server_channel_open_forwarded_streamlocal(&str);
        server_channel_open_direct_tcpip(&str, u32, &str, u32);
        server_channel_open_direct_streamlocal(&str);
        server_channel_open_x11(&str, u32);
    }

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Ended> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        match self.distrust(key) {
            Some(error) => Err(Ended::Untrusted(Box::new(error))),
            None => Ok(true),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Ended>) -> Result<(), Ended> {
        let (why, outcome) = match reason {
            DisconnectReason::ReceivedDisconnect(said) => (said.message, Ok(())),
            DisconnectReason::Error(Ended::Broken(wrong)) => {
                (why_of(&wrong), Err(Ended::Broken(wrong)))
            }
            DisconnectReason::Error(ended) => ("it is not trusted".to_owned(), Err(ended)),
        };
        let _told_before = self.end.set(why);
        outcome
    }
}

fn why_of(wrong: &Wrong) -> String {
    match wrong {
        Wrong::KeepaliveTimeout => "the host has fallen silent".to_owned(),
        Wrong::Disconnect | Wrong::HUP => "the host closed it".to_owned(),
        Wrong::IO(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the host closed it".to_owned()
        }
        other => other.to_string(),
    }
}

impl Guard {
    /// What speaks against the host's key.
    fn distrust(&self, key: &PublicKey) -> Option<SshError> {
        let host = self.host.clone();
        let fingerprint = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        let line = line_for(&self.name.0, self.name.1, key);
        Some(match self.pinned.verdict(key) {
            Verdict::Known => return None,
            Verdict::Unknown => SshError::UnknownHost {
                host,
                fingerprint,
                line,
                consulted: self.pinned.consulted.clone(),
            },
            Verdict::Changed(places) => SshError::ChangedHost {
                host,
                fingerprint,
                places,
                line,
            },
            Verdict::Revoked(place) => SshError::RevokedHost {
                host,
                fingerprint,
                place,
            },
            Verdict::Authority(place) => SshError::Authority { host, place, line },
        })
    }
}
