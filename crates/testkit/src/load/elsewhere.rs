//! A load in another network of this machine. Only a thread can be moved into a network, so it has
//! one of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::ledger::Ledger;
use super::{Load, Plan, Report};
use crate::dockerd::Network;

/// See the module.
pub struct Elsewhere {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Report>,
}

impl Elsewhere {
    /// Begins to send.
    pub fn start(network: Network, address: SocketAddr, plan: Plan, ledger: &Arc<Ledger>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let ledger = Arc::clone(ledger);
        let thread = thread::spawn(move || {
            network.enter();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let load = Load::start(address, plan, &ledger);
                let _stopped = stopped.await;
                load.end().await
            })
        });
        Self { stop, thread }
    }

    /// Sends no more, and waits for the answers to what was sent.
    ///
    /// # Panics
    /// When the load has.
    pub fn end(self) -> Report {
        let _ended = self.stop.send(());
        self.thread.join().unwrap()
    }
}
