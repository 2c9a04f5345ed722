//! The figures of `docs/benchmarks.md`, measured on the real program in release mode: server, runner
//! and git as processes on this machine. Prints a table; tests nothing, so nothing fails when a machine
//! is busy.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by a panic"
)]

mod jobs;
mod lines;
mod memory;
mod push;
mod table;

use testkit::lotse::Lotse;

use table::Table;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let table = runtime.block_on(measure());
    println!("\n{table}");
}

async fn measure() -> Table {
    let mut table = Table::default();
    let lotse = Lotse::start(env!("CARGO_BIN_EXE_lotse")).await;
    let fresh = memory::after_rest(&lotse).await;
    push::measure(&lotse, &mut table).await;
    lines::measure(&lotse, &mut table).await;
    jobs::measure(&lotse, &mut table).await;
    table.memory("fresh", fresh);
    table.memory("after all of the above", memory::after_rest(&lotse).await);
    table
}
