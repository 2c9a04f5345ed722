//! Asks targets how they are: before a swap until all are well, and afterwards again and again.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Request, Version};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::spec::StatusRange;
use crate::target::connect::{self, Wanted};
use crate::target::pool::{Pool, Target};

/// The time between two checks of a target that is not well, at the most.
const HURRY: Duration = Duration::from_millis(250);

/// What one check found wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Illness {
    #[error("{0}")]
    Connect(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("only {0} good checks in a row until the deadline")]
    Unsteady(u32),
    #[error("the answer is no HTTP: {0}")]
    Broken(#[source] hyper::Error),
    #[error("it answers {path} with {status} (healthy is {healthy})")]
    Status {
        path: String,
        status: u16,
        healthy: StatusRange,
    },
}

/// Waits until every target is well, at most until the deadline.
///
/// # Errors
/// What is wrong with each target that is not.
pub(crate) async fn all_well(pool: &Pool, deadline: Instant) -> Result<(), Vec<String>> {
    let checks = pool.targets.iter().map(|target| async move {
        let last = one_well(pool, target, deadline).await;
        last.map_err(|illness| format!("{}: {illness}", target.address))
    });
    // Each is a handful of sockets: all targets at the same time.
    let found = futures_util::future::join_all(checks).await;
    let ill: Vec<String> = found.into_iter().filter_map(Result::err).collect();
    if ill.is_empty() { Ok(()) } else { Err(ill) }
}

async fn one_well(pool: &Pool, target: &Target, deadline: Instant) -> Result<(), Illness> {
    let health = &pool.spec.health;
    let pause = HURRY.min(health.interval.get());
    let mut well = 0;
    let mut last = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = health.timeout.get().min(left.max(Duration::from_millis(1)));
        match check(pool, target, limit).await {
            Ok(()) => {
                well += 1;
                if well >= health.rise {
                    return Ok(());
                }
            }
            // A check that the deadline cut short says less than the one before.
            Err(Illness::Timeout(_)) if limit < health.timeout.get() && last.is_some() => {}
            Err(illness) => {
                well = 0;
                last = Some(illness);
            }
        }
        if Instant::now() + pause >= deadline {
            return Err(last.unwrap_or(Illness::Unsteady(well)));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Asks every target once, and takes those that are not well out until they are.
pub(crate) async fn first_look(pool: &Pool, deadline: Instant) {
    let checks = pool.targets.iter().map(|target| async move {
        let left = deadline.saturating_duration_since(Instant::now());
        let well = check(pool, target, left).await.is_ok();
        target.set_healthy(well);
    });
    futures_util::future::join_all(checks).await;
}

/// Asks those targets once that are not well, and lets requests to them if they are by now.
pub(crate) async fn look_again(pool: &Pool, deadline: Instant) {
    let ill = pool.targets.iter().filter(|target| !target.is_healthy());
    let checks = ill.map(|target| async move {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = pool.spec.health.timeout.get().min(left);
        if check(pool, target, limit).await.is_ok() {
            tracing::info!(target = %target.address, "well again");
            target.set_well();
        }
    });
    futures_util::future::join_all(checks).await;
}

/// Checks each target of a pool until it is retired.
pub(crate) fn watch(pool: &Arc<Pool>) {
    for target in &pool.targets {
        let (pool, target) = (Arc::clone(pool), Arc::clone(target));
        tokio::spawn(async move {
            let retired = pool.retired.clone();
            tokio::select! {
                () = watch_one(&pool, &target) => {}
                () = retired.cancelled() => {}
            }
        });
    }
}

async fn watch_one(pool: &Pool, target: &Target) {
    let health = &pool.spec.health;
    let (mut well, mut ill) = (0, 0);
    loop {
        let pause = match target.is_healthy() && ill == 0 {
            true => health.interval.get(),
            false => HURRY.min(health.interval.get()),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = target.doubted.notified() => {}
        }
        let before = target.found_well();
        let found = check(pool, target, health.timeout.get()).await;
        if target.found_well() != before {
            (well, ill) = (0, 0);
            continue;
        }
        target.set_illness(found.as_ref().err().map(ToString::to_string));
        match found {
            Ok(()) => {
                (well, ill) = (well + 1, 0);
                if well >= health.rise && !target.is_healthy() {
                    tracing::info!(target = %target.address, "healthy again");
                    target.set_healthy(true);
                }
            }
            Err(illness) => {
                (well, ill) = (0, ill + 1);
                if ill >= health.fall && target.is_healthy() {
                    tracing::warn!(target = %target.address, %illness, "unhealthy");
                    target.set_healthy(false);
                }
            }
        }
    }
}

async fn check(pool: &Pool, target: &Target, limit: Duration) -> Result<(), Illness> {
    let asked = ask(pool, target);
    match tokio::time::timeout(limit, asked).await {
        Ok(found) => found,
        Err(_) => Err(Illness::Timeout(limit)),
    }
}

async fn ask(pool: &Pool, target: &Target) -> Result<(), Illness> {
    let here = std::net::SocketAddr::new(target.address.ip(), 0);
    let wanted = Wanted {
        kept: None,
        client: here,
        server: target.address,
    };
    let opened = connect::open(pool, target, wanted).await;
    let stream = opened.map_err(|error| Illness::Connect(error.to_string()))?;
    let health = &pool.spec.health;
    let Some(path) = &health.path else {
        return Ok(());
    };
    let host = health
        .host
        .clone()
        .unwrap_or_else(|| target.address.to_string());
    let status = match pool.spec.target_http2 {
        false => ask_http1(stream, path, &host).await,
        true => ask_http2(stream, path, &host).await,
    };
    let status = status.map_err(Illness::Broken)?;
    if health.status.0.contains(&status) {
        return Ok(());
    }
    Err(Illness::Status {
        path: path.clone(),
        status,
        healthy: health.status.clone(),
    })
}

async fn ask_http1(stream: TcpStream, path: &str, host: &str) -> Result<u16, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = question(path, Version::HTTP_11);
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
    request
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer_of(sender.send_request(request), connection).await
}

async fn ask_http2(stream: TcpStream, path: &str, host: &str) -> Result<u16, hyper::Error> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let request = question(&format!("http://{host}{path}"), Version::HTTP_2);
    answer_of(sender.send_request(request), connection).await
}

fn question(target: &str, version: Version) -> Request<Empty<bytes::Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target.parse().unwrap_or_default();
    *request.version_mut() = version;
    let agent = HeaderValue::from_static("lotse-edge-health");
    request.headers_mut().insert(USER_AGENT, agent);
    request
}

/// The status alone matters; with it the connection is over.
async fn answer_of<A, C>(answer: A, connection: C) -> Result<u16, hyper::Error>
where
    A: Future<Output = Result<http::Response<hyper::body::Incoming>, hyper::Error>>,
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    let mut driven = false;
    loop {
        tokio::select! {
            biased;
            answered = answer.as_mut() => return answered.map(|response| response.status().as_u16()),
            _ = connection.as_mut(), if !driven => driven = true,
        }
    }
}
