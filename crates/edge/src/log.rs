//! The access log's file, written by a thread of its own.
//!
//! A file that was moved away (logrotate) is noticed at the next line and made anew.

use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::request::record::LogSender;
use crate::settings::AccessLog;

/// So many lines wait for the disk; more are lost, and counted.
const WAITING: usize = 16 * 1024;

/// Opens the log and starts its writer, which ends with the last sender.
pub(crate) fn open(log: &AccessLog) -> io::Result<LogSender> {
    let (lines, waiting) = mpsc::channel(WAITING);
    let mut file = Output::open(&log.path)?;
    std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || {
            if let Err(error) = write(waiting, &mut file) {
                tracing::error!(%error, "the access log ends");
            }
        })?;
    Ok(LogSender {
        lines,
        lost: Arc::default(),
        format: log.format,
    })
}

enum Output {
    Standard(BufWriter<io::Stdout>),
    File {
        path: PathBuf,
        file: BufWriter<fs_err::File>,
    },
}

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Standard(BufWriter::new(io::stdout())));
        }
        Ok(Self::File {
            path: path.to_owned(),
            file: append(path)?,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File { path, file } => {
                file.flush()?;
                let own = file.get_ref().metadata()?;
                let same = fs_err::metadata(&*path)
                    .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
                if !same {
                    *file = append(path)?;
                }
                Ok(())
            }
        }
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Standard(out) => writeln!(out, "{line}"),
            Self::File { file, .. } => writeln!(file, "{line}"),
        }
    }
}

fn append(path: &Path) -> io::Result<BufWriter<fs_err::File>> {
    let mut options = fs_err::OpenOptions::new();
    Ok(BufWriter::new(
        options.create(true).append(true).open(path)?,
    ))
}

fn write(mut waiting: mpsc::Receiver<String>, out: &mut Output) -> io::Result<()> {
    while let Some(line) = waiting.blocking_recv() {
        out.line(&line)?;
        while let Ok(line) = waiting.try_recv() {
            out.line(&line)?;
        }
        out.flush()?;
    }
    Ok(())
}
