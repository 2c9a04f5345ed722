//! What is printed at the end.

use std::fmt;
use std::time::Duration;

use crate::memory::Memory;

/// Rows of what was measured, beside what is aimed at.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    /// Times of one thing, done often.
    pub(crate) fn times(&mut self, what: &str, aim: &str, times: &mut [Duration]) {
        times.sort_unstable();
        let at = |part: f64| {
            let place = (times.len() - 1) as f64 * part;
            milliseconds(times[place.round() as usize])
        };
        let more = format!("p95 {}, of {}", at(0.95), times.len());
        self.row(what, aim, at(0.5), more);
    }

    /// How much longer one thing takes than another.
    pub(crate) fn ratio(&mut self, what: &str, aim: &str, (took, base): (Duration, Duration)) {
        let ratio = took.as_secs_f64() / base.as_secs_f64();
        let more = format!("{} against {}", milliseconds(took), milliseconds(base));
        self.row(what, aim, format!("{ratio:.1} ×"), more);
    }

    /// What the server needs.
    pub(crate) fn memory(&mut self, when: &str, memory: Memory) {
        let megabytes = |kib: u64| format!("{:.1} MB", kib as f64 * 1024.0 / 1e6);
        let what = format!("memory of an idle `lotse serve`, {when}");
        let more = format!("PSS {}", megabytes(memory.pss));
        self.row(&what, "40 MB", megabytes(memory.rss), more);
    }

    fn row(&mut self, what: &str, aim: &str, measured: String, more: String) {
        eprintln!("{what}: {measured} ({more})");
        self.0
            .push([what.to_owned(), aim.to_owned(), measured, more]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "aim", "measured", ""].map(str::to_owned);
        let rows = || std::iter::once(&head).chain(&self.0);
        let width = |column: usize| {
            let widths = rows().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        for (number, row) in rows().enumerate() {
            for (cell, width) in row.iter().zip(widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                let lines = widths.map(|width| format!("|{}", "-".repeat(width + 2)));
                writeln!(f, "{}|", lines.concat())?;
            }
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{milliseconds:.0} ms")
    }
}
