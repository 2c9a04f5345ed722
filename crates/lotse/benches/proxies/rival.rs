//! The three proxies, each doing the same: TLS or not, kept connections to the target, the client's
//! address and a request id in the header, no access log.

use std::fmt;
use std::process::Command;

use crate::process::Process;
use crate::site::{Site, free_port};

/// Who proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Edge,
    Nginx,
    Haproxy,
}

/// A proxy at work.
pub(crate) struct Rival {
    pub(crate) kind: Kind,
    pub(crate) http: u16,
    pub(crate) https: u16,
    /// Connections to this port are passed on as they are, to [`Rival::tcp_target`].
    pub(crate) tcp: u16,
    pub(crate) tcp_target: u16,
    pub(crate) process: Process,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "Lotse",
            Self::Nginx => "NGINX",
            Self::Haproxy => "HAProxy",
        })
    }
}

pub(crate) fn start_all(site: &Site) -> Vec<Rival> {
    [Kind::Edge, Kind::Nginx, Kind::Haproxy]
        .map(|kind| start(kind, site))
        .into()
}

/// What is compared, for the reader of the tables.
pub(crate) fn versions() -> String {
    let nginx = output("nginx", "-v");
    let haproxy = output("haproxy", "-v");
    format!("Compared: {}, {}\n", nginx.trim(), haproxy.trim())
}

fn output(tool: &str, argument: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let said = Command::new(tool)
        .arg(argument)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .unwrap();
    let all = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&all);
    text.lines().next().unwrap_or_default().to_owned()
}

/// Starts a proxy before the first target.
pub(crate) fn start(kind: Kind, site: &Site) -> Rival {
    let ports = Ports {
        http: free_port(),
        https: free_port(),
        tcp: free_port(),
        tcp_target: free_port(),
    };
    let process = match kind {
        Kind::Edge => edge(site, &ports),
        Kind::Nginx => nginx(site, &ports),
        Kind::Haproxy => haproxy(site, &ports),
    };
    Rival {
        kind,
        http: ports.http,
        https: ports.https,
        tcp: ports.tcp,
        tcp_target: ports.tcp_target,
        process,
    }
}

struct Ports {
    http: u16,
    https: u16,
    tcp: u16,
    tcp_target: u16,
}

/// The folder of the edge with these ports.
pub(crate) fn edge_folder(site: &Site, http: u16) -> String {
    site.name(&format!("edge-{http}"))
}

fn edge(site: &Site, ports: &Ports) -> Process {
    let program = env!("CARGO_BIN_EXE_lotse");
    let folder = edge_folder(site, ports.http);
    let most = "100000";
    let process = Process::proxy(&[
        program,
        "edge",
        "run",
        "--folder",
        &folder,
        "--max-connections-per-client",
        most,
        "--idle",
        "600s",
    ]);
    let socket = std::path::Path::new(&folder).join("edge.sock");
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let target = format!("127.0.0.1:{}", site.targets[0]);
    let (certificate, key) = (site.name("cert.pem"), site.name("key.pem"));
    let listen = |port: u16| format!("127.0.0.1:{port}");
    set(&folder, &[&listen(ports.http), &target]);
    let tls = ["--certificate", &certificate, "--key", &key];
    set(
        &folder,
        &[&[&*listen(ports.https), &target], &tls[..]].concat(),
    );
    // Its target comes later, so it is taken as it is.
    let sink = std::net::TcpListener::bind(("127.0.0.1", ports.tcp_target)).unwrap();
    let tcp_target = format!("127.0.0.1:{}", ports.tcp_target);
    let tcp = listen(ports.tcp);
    set(
        &folder,
        &[&tcp, &tcp_target, "--tcp", "--health-interval", "1h"],
    );
    drop(sink);
    process
}

/// `lotse edge set` with these arguments.
pub(crate) fn set(folder: &str, arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_lotse"))
        .args(["edge", "set", "--folder", folder, "--watch", "0s"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "lotse edge set {arguments:?}: {said}"
    );
}

fn nginx(site: &Site, ports: &Ports) -> Process {
    let file = site.name(&format!("nginx-{}.conf", ports.http));
    write_nginx(site, &file, (ports.http, ports.https), site.targets[0]);
    let stream = format!(
        "stream {{ server {{ listen 127.0.0.1:{}; proxy_pass 127.0.0.1:{}; }} }}\n",
        ports.tcp, ports.tcp_target
    );
    let module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n";
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, format!("{module}{text}{stream}")).unwrap();
    Process::proxy(&["nginx", "-c", &file]).listening(ports.https)
}

/// NGINX as its documentation advises for a proxy with kept connections.
pub(crate) fn write_nginx(site: &Site, file: &str, (http, https): (u16, u16), target: u16) {
    let (certificate, key) = (site.name("cert.pem"), site.name("key.pem"));
    let text = format!(
        "worker_processes 1; daemon off; pid {file}.pid; error_log {file}.log crit; worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 18000; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s;\n\
         upstream target {{ server 127.0.0.1:{target}; keepalive 512; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl http2 backlog=4096;\n\
         ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;\n\
         http2_max_concurrent_streams 100;\n\
         location / {{ proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection '';\n\
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id; }} }} }}\n"
    );
    fs_err::write(file, text).unwrap();
}

fn haproxy(site: &Site, ports: &Ports) -> Process {
    let file = site.name(&format!("haproxy-{}.cfg", ports.http));
    let both = site.name("both.pem");
    let socket = haproxy_socket(site, ports.http);
    let (http, https, target) = (ports.http, ports.https, site.targets[0]);
    let text = format!(
        "global\n no strict-limits\n maxconn 10500\n nbthread 1\n stats socket {socket} level admin\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 60s\n option forwardfor\n\
         frontend site\n bind 127.0.0.1:{http} backlog 4096\n\
         \x20bind 127.0.0.1:{https} backlog 4096 ssl crt {both} alpn h2,http/1.1\n\
         \x20http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n\
         \x20unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt%pid\n unique-id-header X-Request-Id\n default_backend target\n\
         backend target\n http-reuse always\n server one 127.0.0.1:{target}\n\
         listen bytes\n mode tcp\n bind 127.0.0.1:{}\n server one 127.0.0.1:{}\n",
        ports.tcp, ports.tcp_target
    );
    fs_err::write(&file, text).unwrap();
    Process::proxy(&["haproxy", "-q", "-db", "-f", &file]).listening(https)
}

/// Where HAProxy takes commands.
pub(crate) fn haproxy_socket(site: &Site, http: u16) -> String {
    site.name(&format!("haproxy-{http}.sock"))
}
