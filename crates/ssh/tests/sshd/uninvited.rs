//! A host that opens channels to us, as none needs to: it gets none.

use std::sync::Arc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Handler, Msg, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error};
use ssh::{Access, Client, TrustSource};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::streams::SOON;

/// Lets everybody in, and answers a command with what became of its own channels.
struct Pushy;

impl Handler for Pushy {
    type Error = Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Error> {
        session.channel_success(channel)?;
        let handle = session.handle();
        tokio::spawn(async move {
            let outcome = opened(&handle).await.join("\n");
            let _gone = handle.data(channel, outcome.into_bytes()).await;
            let _gone = handle.exit_status_request(channel, 0).await;
            let _gone = handle.close(channel).await;
        });
        Ok(())
    }
}

/// What the client says to each kind of channel.
async fn opened(handle: &Handle) -> Vec<String> {
    let outcomes = [
        handle.channel_open_session().await,
        handle.channel_open_agent().await,
        handle.channel_open_forwarded_tcpip("a", 1, "b", 2).await,
        handle.channel_open_forwarded_streamlocal("/a").await,
        handle.channel_open_direct_tcpip("a", 1, "b", 2).await,
        handle.channel_open_direct_streamlocal("/a").await,
        handle.channel_open_x11("a", 1).await,
    ];
    let words = |outcome| match outcome {
        Ok(_) => "open".to_owned(),
        Err(Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)) => {
            "prohibited".to_owned()
        }
        Err(other) => other.to_string(),
    };
    outcomes.into_iter().map(words).collect()
}

#[tokio::test]
async fn a_host_opens_no_channels() {
    let home = tempfile::tempdir().unwrap();
    let key = |seed: u8| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
    let [host_key, user_key] = [1, 2].map(key);
    let pin = host_key.public_key().to_openssh().unwrap();
    let keys = home.path().join(".ssh");
    fs_err::create_dir(&keys).unwrap();
    let text = user_key.to_openssh(LineEnding::LF).unwrap();
    fs_err::write(keys.join("id_ed25519"), text.as_bytes()).unwrap();

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        keys: vec![host_key],
        ..Default::default()
    });
    let host = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let running = server::run_stream(config, stream, Pushy).await.unwrap();
        let _hung_up = running.await;
    });

    let mut access = Access::of_user("somebody".to_owned(), home.path().to_owned());
    access.configs.clear();
    access.trust = vec![TrustSource::Text {
        name: "PINNED".to_owned(),
        text: format!("[127.0.0.1]:{port} {pin}\n"),
    }];
    let address = format!("ssh://127.0.0.1:{port}");
    let client = Client::new(address.parse().unwrap(), access);
    let mut stream = client.command("whatever").await.unwrap();
    let mut said = String::new();
    timeout(SOON, stream.read_to_string(&mut said))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["prohibited"; 7]);
    drop((stream, client));
    host.abort();
}
