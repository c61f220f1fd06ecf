//! The listener: mutual TLS, then HTTP/1.1 with keep-alive, one task per connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Line, Socket};
use super::requests;
use super::shared::Shared;

/// Headers of one request; more than any client of MESH sends.
const MOST_HEADERS: usize = 100;

/// Accepts until cancelled. Connections in hand end with it, in the middle of an answer if need be.
pub(super) async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: TlsAcceptor,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that failed before it was accepted is the client's to open again.
        let Ok((stream, _)) = accepted else { continue };
        let (shared, tls, stop) = (Arc::clone(&shared), tls.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serve(shared, tls, stream) => {}
            }
        });
    }
}

async fn serve(shared: Arc<Shared>, tls: TlsAcceptor, stream: TcpStream) {
    // Small answers must not wait for each other; a socket without the option is only slower.
    drop(stream.set_nodelay(true));
    let Ok(stream) = tls.accept(stream).await else {
        shared.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
        shared.changed.notify_waiters();
        return;
    };
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    let line = Arc::new(Line::default());
    let socket = Socket::new(stream, Arc::clone(&line));
    let service = service_fn(|request| requests::answer(&shared, &line, request));
    // Without `pipeline_flush`, which would buffer a whole body for a slow client.
    let connection = http1::Builder::new()
        .auto_date_header(false)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(socket), service);
    // An error here is a client that left or a fault that was asked for: neither is this side's.
    drop(connection.await);
}
