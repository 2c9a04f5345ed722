//! The side of the clients: sockets that are listened on, and what lies between them and requests.

pub(crate) mod io;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod proxy_protocol;
pub(crate) mod tls;
pub(crate) mod workers;
