//! A server, the users who come to it, and sockets to talk to through it.

use std::io;
use std::ops::Deref;
use std::path::Path;

use ssh::{Access, Client, Stream, TrustSource};
use testkit::sshd::{Sshd, me};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

pub(crate) struct Server(Sshd);

impl Server {
    pub(crate) fn start(more: &[&str]) -> Option<Self> {
        Sshd::start(more).map(Self)
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
        let address = format!("ssh://127.0.0.1:{}", self.port());
        Client::new(address.parse().unwrap(), access)
    }
}

impl Deref for Server {
    type Target = Sshd;

    fn deref(&self) -> &Sshd {
        &self.0
    }
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
