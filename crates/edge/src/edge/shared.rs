//! What every connection of one edge has in common.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acme::Acme;
use crate::edge::draining::Draining;
use crate::edge::table::Table;
use crate::request::record::LogSender;
use crate::settings::Settings;

/// See the module.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) table: Table,
    pub(crate) acme: Acme,
    pub(crate) log: Option<LogSender>,
    pub(crate) clients: Clients,
    pub(crate) ids: RequestIds,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// Pools that were swapped out and still have requests.
    pub(crate) draining: Draining,
    /// No new requests: connections end after the one at work.
    pub(crate) leaving: CancellationToken,
    /// Everything ends now.
    pub(crate) over: CancellationToken,
}

impl Shared {
    pub(crate) fn new(settings: Settings, log: Option<LogSender>) -> std::io::Result<Self> {
        Ok(Self {
            connections: Arc::new(Semaphore::new(settings.limits.connections)),
            clients: Clients::default(),
            ids: RequestIds::new()?,
            table: Table::default(),
            acme: Acme::new(&settings),
            draining: Draining::default(),
            tasks: TaskTracker::new(),
            leaving: CancellationToken::new(),
            over: CancellationToken::new(),
            settings,
            log,
        })
    }
}

/// Counts the connections of each client.
#[derive(Clone, Default)]
pub(crate) struct Clients(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of a client.
pub(crate) struct ClientSlot {
    clients: Clients,
    address: IpAddr,
}

impl Clients {
    /// The connections of all clients.
    pub(crate) fn total(&self) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().sum()
    }

    /// Counts a connection, unless the client has enough of them.
    pub(crate) fn enter(&self, address: IpAddr, most: usize) -> Option<ClientSlot> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(ClientSlot {
            clients: self.clone(),
            address,
        })
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        let mut counts = self
            .clients
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Names for requests that do not repeat: a random start and a count.
pub(crate) struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> std::io::Result<Self> {
        let start = getrandom::u64().map_err(std::io::Error::other)?;
        Ok(Self {
            start,
            next: AtomicU64::new(0),
        })
    }

    pub(crate) fn make(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let number = (u128::from(self.start) << 64) | u128::from(count);
        let digits = (0..32).rev().map(|digit| hex_digit(number >> (4 * digit)));
        let text: Vec<u8> = digits.collect();
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .expect("hexadecimal digits are what a field can have")
    }
}

/// The digit of the lowest four bits. By hand, as each request makes 32 and `format!` stood out in the
/// profile.
fn hex_digit(number: u128) -> u8 {
    b"0123456789abcdef"[(number & 15) as usize]
}
