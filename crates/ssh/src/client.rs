//! One machine, and the connection to it that all streams share.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::access::Access;
use crate::address::SshAddress;
use crate::error::SshError;
use crate::session::{NotOpened, Session};
use crate::stream::Stream;

/// An sshd runs at most ten commands on a connection, unless it was told otherwise; then another
/// connection is made, up to this number.
const CONNECTIONS: usize = 8;

/// A machine that streams are opened to. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    address: SshAddress,
    access: Access,
    /// The first is the one that sockets are reached by.
    sessions: Mutex<Vec<Arc<Session>>>,
}

impl Client {
    /// A machine; nothing is connected yet.
    pub fn new(address: SshAddress, access: Access) -> Self {
        Self(Arc::new(Inner {
            address,
            access,
            sessions: Mutex::new(Vec::new()),
        }))
    }

    /// Where it is.
    pub fn address(&self) -> &SshAddress {
        &self.0.address
    }

    /// Connects, unless there is a connection: so that what is wrong is known early.
    ///
    /// # Errors
    /// When the machine is not reached, is not the one whose key is pinned, or lets nobody in.
    pub async fn connect(&self) -> Result<(), SshError> {
        self.session().await.map(|_| ())
    }

    /// Opens a stream to a Unix socket on the machine.
    ///
    /// # Errors
    /// As [`Client::connect`]; `Socket` when the machine does not open it.
    pub async fn socket(&self, path: &str) -> Result<Stream, SshError> {
        let mut again = true;
        loop {
            let session = self.session().await?;
            match session.socket(path).await {
                Ok(channel) => return Ok(Stream::of_socket(channel, session)),
                Err(NotOpened::Refused(why)) => {
                    return Err(SshError::Socket {
                        host: session.host.clone(),
                        path: path.to_owned(),
                        why,
                    });
                }
                // A connection that died unseen: nothing was done on it, so another is made.
                Err(NotOpened::Gone(_)) if again => again = false,
                Err(NotOpened::Gone(why)) => return Err(broken(&session, why)),
            }
        }
    }

    /// Starts a command on the machine, and opens a stream to its standard input and output. It is
    /// read by the user's shell there. When it fails, reading ends with a
    /// [`crate::CommandFailure`].
    ///
    /// # Errors
    /// As [`Client::connect`]; `Command` when the machine does not start it.
    pub async fn command(&self, command: &str) -> Result<Stream, SshError> {
        let (session, channel) = self.command_channel(command).await?;
        match channel.exec(true, command).await {
            Ok(()) => Ok(Stream::of_command(channel, session, command)),
            Err(_) => Err(broken(&session, session.why_ended())),
        }
    }

    async fn command_channel(
        &self,
        command: &str,
    ) -> Result<(Arc<Session>, russh::Channel<russh::client::Msg>), SshError> {
        self.session().await?;
        let mut refused = None;
        for _ in 0..=CONNECTIONS {
            for session in self.0.sessions.lock().await.clone() {
                match session.session().await {
                    Ok(channel) => return Ok((session, channel)),
                    Err(NotOpened::Refused(why)) => refused = Some((session.host.clone(), why)),
                    Err(NotOpened::Gone(_)) => {}
                }
            }
            if !self.add_session().await? {
                break;
            }
        }
        let (host, why) = refused.unwrap_or_else(|| {
            (
                self.0.address.host.clone(),
                "its connections do not last".to_owned(),
            )
        });
        Err(SshError::Command {
            host,
            command: command.to_owned(),
            why,
        })
    }

    /// The connection that lives, or a new one.
    async fn session(&self) -> Result<Arc<Session>, SshError> {
        let mut sessions = self.0.sessions.lock().await;
        sessions.retain(|session| !session.is_closed());
        if let Some(session) = sessions.first() {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::start(&self.0.address, &self.0.access).await?);
        sessions.push(Arc::clone(&session));
        Ok(session)
    }

    /// Makes a further connection, unless there are enough.
    async fn add_session(&self) -> Result<bool, SshError> {
        let mut sessions = self.0.sessions.lock().await;
        sessions.retain(|session| !session.is_closed());
        if sessions.len() == CONNECTIONS {
            return Ok(false);
        }
        let session = Session::start(&self.0.address, &self.0.access).await?;
        sessions.push(Arc::new(session));
        Ok(true)
    }

    /// Ends the connection; streams that are open break.
    pub async fn disconnect(&self) {
        let sessions = std::mem::take(&mut *self.0.sessions.lock().await);
        for session in sessions {
            session.end().await;
        }
    }
}

fn broken(session: &Session, why: String) -> SshError {
    SshError::Broken {
        host: session.host.clone(),
        why,
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.address)
    }
}
