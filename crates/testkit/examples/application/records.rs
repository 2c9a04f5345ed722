//! The database, which must not run twice on its files, and the migration that asks it.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::release;

const PORT: u16 = 5432;
const ADDRESS: &str = "database:5432";
const FILE: &str = "/srv/records/log";
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes down each line that it is told.
pub(crate) fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    for stream in listener.incoming().flatten() {
        if let Err(error) = write_down(stream) {
            println!("a client was not served: {error}");
        }
    }
    Ok(())
}

fn write_down(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let mut file = OpenOptions::new().create(true).append(true).open(FILE)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    stream.write_all(b"ok\n")
}

/// Tells the database of the release.
pub(crate) fn migrate(fault: Fault) -> io::Result<()> {
    if fault.fails_migration() {
        return Err(io::Error::other("the column `title` is there already"));
    }
    let mut stream = connect()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("release {}\n", release()).as_bytes())?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    match answer.as_str() {
        "ok\n" => Ok(()),
        _ => Err(io::Error::other(format!("the database says {answer:?}"))),
    }
}

/// The database may have been started just now.
fn connect() -> io::Result<TcpStream> {
    let begin = Instant::now();
    loop {
        match TcpStream::connect(ADDRESS) {
            Err(error) if begin.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
            connected => return connected,
        }
    }
}
