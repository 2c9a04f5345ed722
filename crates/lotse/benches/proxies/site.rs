//! What the proxies stand before: NGINX with two files, on two ports that name themselves; and a
//! certificate for them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::process::Process;

/// The targets, and the folder of all files.
pub(crate) struct Site {
    folder: TempDir,
    /// The ports of the two targets; each answers `/name` with its number.
    pub(crate) targets: [u16; 2],
    _server: Process,
}

impl Site {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        write_files(&path);
        let targets = [free_port(), free_port()];
        let configuration = path.join("target.conf");
        fs_err::write(&configuration, target_configuration(&path, targets)).unwrap();
        let server = Process::target(&["nginx", "-c", &configuration.to_string_lossy()]);
        Self {
            _server: server.listening(targets[1]),
            folder,
            targets,
        }
    }

    /// A file of this name in the site's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same, as text.
    pub(crate) fn name(&self, name: &str) -> String {
        self.file(name).to_string_lossy().into_owned()
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn write_files(folder: &Path) {
    let write = |name: &str, content: &[u8]| fs_err::write(folder.join(name), content).unwrap();
    fs_err::create_dir(folder.join("www")).unwrap();
    write("www/1k", &[b'x'; 1024]);
    write("www/100k", &[b'x'; 100 * 1024]);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    write("cert.pem", certificate.as_bytes());
    write("key.pem", key.as_bytes());
    write("both.pem", format!("{certificate}{key}").as_bytes());
}

fn target_configuration(folder: &Path, targets: [u16; 2]) -> String {
    let folder = folder.display();
    let servers: String = targets
        .iter()
        .enumerate()
        .map(|(number, port)| {
            format!(
                "server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/www; \
                 location = /name {{ return 200 '{number}'; }} }}\n"
            )
        })
        .collect();
    format!(
        "worker_processes 1; daemon off; pid {folder}/target.pid; error_log {folder}/target.log crit;\n\
         events {{ worker_connections 18000; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; open_file_cache max=10;\n\
         keepalive_requests 100000000; keepalive_timeout 600s;\n{servers}}}\n"
    )
}
