//! `/healthz`, `/readyz` and `/metrics`, for machines that watch. Read only, and nothing of any patient (I8).
//!
//! | Path | 200 | 503 |
//! |---|---|---|
//! | `/healthz` | the process answers, and its store committed within the last seconds | it did not |
//! | `/readyz` | mail can be taken in for at least one mailbox | it cannot: the body says why |
//! | `/metrics` | always | |
//!
//! One request a connection, and few connections at once: who is slow or greedy is cut off, and mail does not notice.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bulletin;
use super::metrics::Metrics;
use crate::ports::obstacles::At;
use crate::ports::operations::{Operations, Status};

/// The format of prometheus-client.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// A few watchers ask at once; more wait.
const MOST_CONNECTIONS: usize = 16;
/// One question and its answer take milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an accept that failed, as it does without free descriptors.
const REST: Duration = Duration::from_millis(100);

/// Where the answers come from.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) operations: Arc<dyn Operations>,
    pub(super) metrics: Metrics,
}

/// Listens at `address`; port 0 takes any. The log says where.
pub(super) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics are told over HTTP");
    Ok(listener)
}

/// Answers until `stop`.
pub(super) async fn serve(listener: TcpListener, told: Told, stop: CancellationToken) {
    let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let conversations = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let permit = Arc::clone(&free).acquire_owned().await;
                listener.accept().await.map(|(stream, _)| (stream, permit))
            } => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let told = told.clone();
                conversations.spawn(async move {
                    converse(stream, told).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accept a watcher");
                tokio::time::sleep(REST).await;
            }
        }
    }
    conversations.close();
    // At most the patience with each.
    conversations.wait().await;
}

async fn converse(stream: TcpStream, told: Told) {
    let service = service_fn(move |request| {
        let response = told.answer(&request);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a watcher went away"),
        Err(_) => tracing::debug!("a slow watcher was cut off"),
    }
}

impl Told {
    fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let status = || self.operations.status();
        match request.uri().path() {
            "/healthz" => {
                let status = status();
                let is_alive = !status.obstacles.iter().any(|obstacle| obstacle.at == At::Store);
                health(is_alive, &status)
            }
            "/readyz" => {
                let status = status();
                health(status.ready, &status)
            }
            "/metrics" => match self.metrics.render(status()) {
                Ok(text) => response(StatusCode::OK, OPEN_METRICS, text),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"),
        }
    }
}

fn health(is_well: bool, status: &Status) -> Response<String> {
    let code = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let obstacles: Vec<_> = status.obstacles.iter().map(bulletin::told).collect();
    let body = json!({ "ready": status.ready, "phase": status.phase, "obstacles": obstacles });
    response(code, JSON, body.to_string() + "\n")
}

fn text(code: StatusCode, body: &str) -> Response<String> {
    response(code, TEXT, body.into())
}

fn response(code: StatusCode, kind: HeaderValue, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
