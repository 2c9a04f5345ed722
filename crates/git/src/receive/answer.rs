//! Passing git's answer on, all but its last packet.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;

use crate::output::Sender;
use crate::packet::{self, Band, Packet};

/// The longest report, in bytes; longer ones are passed on but not read to their end.
const REPORT_LIMIT: usize = 32 << 20;

/// Between git and the client.
pub(super) struct Relay<'a> {
    sender: &'a Sender,
    side_band: bool,
    buffer: BytesMut,
    /// git's report on the push, as packets, without their final one.
    pub(super) report: BytesMut,
}

impl<'a> Relay<'a> {
    pub(super) fn new(sender: &'a Sender, side_band: bool) -> Self {
        Self {
            sender,
            side_band,
            buffer: BytesMut::new(),
            report: BytesMut::new(),
        }
    }

    /// Passes on everything up to the last packet. git that talks nonsense is not listened to
    /// further, but still read, so that it can end.
    pub(super) async fn run(&mut self, mut stdout: ChildStdout) {
        let mut sane = true;
        let mut chunk = BytesMut::with_capacity(64 << 10);
        while let Ok(1..) = stdout.read_buf(&mut chunk).await {
            self.buffer.extend_from_slice(&chunk.split());
            chunk.reserve(64 << 10);
            sane = sane && self.pass_on().await;
        }
    }

    async fn pass_on(&mut self) -> bool {
        loop {
            match packet::take(&mut self.buffer) {
                Ok(None) => return true,
                Ok(Some(Packet::Flush)) => {}
                Ok(Some(Packet::Data(data))) => self.packet(data).await,
                Err(error) => {
                    tracing::error!(%error, "git receive-pack does not answer in packets");
                    return false;
                }
            }
        }
    }

    async fn packet(&mut self, data: Bytes) {
        let whole = packet::data(&[&data]);
        if !self.side_band {
            self.keep(&whole);
        } else if data.first() == Some(&(Band::Data as u8)) {
            self.keep(&data[1..]);
        }
        self.sender.send(whole).await;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.report.len() + bytes.len() <= REPORT_LIMIT {
            self.report.extend_from_slice(bytes);
        }
    }
}
