//! The side of the targets: pools of addresses, their health, and connections to them.

pub(crate) mod connect;
pub(crate) mod health;
pub(crate) mod http1;
pub(crate) mod pool;
pub(crate) mod probe;
