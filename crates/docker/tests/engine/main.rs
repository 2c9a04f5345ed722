//! The crate against a real engine of the test's own. Needs root, Docker and busybox-static;
//! without them the stories are skipped, aloud.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod containers;
mod images;
mod networks;
mod reach;
mod support;
mod tls;
mod volumes;
