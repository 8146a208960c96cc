//! HTTP: `/healthz`, `/readyz`, `/metrics` and `GET /v1/names`.

mod metrics;
mod names;

pub use names::{Directory, EndpointEntry, NameEntry};

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::directory::Reader;
use crate::status::{State as EngineState, Status};

/// Connections served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// A client that sends no request for this long is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed accept: at the descriptor limit every accept fails at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the pages are made from.
#[derive(Clone)]
pub struct Pages {
    /// The live directory.
    pub directory: Reader,
    /// Counters and the engines' states.
    pub status: Arc<Status>,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, pages: Pages) -> io::Result<Infallible> {
    let router = router(pages);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // A client that goes away in the middle is its own business.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn router(pages: Pages) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/v1/names", get(names_page))
        .with_state(pages)
}

/// 200 once names can be answered, and from then on: a lost engine leaves the last names, and
/// restarting would lose them.
async fn healthz(State(pages): State<Pages>) -> impl IntoResponse {
    if pages.directory.is_complete() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the engine has not been listed completely yet\n")
    }
}

/// 200 while what is answered is what the engines have now, or had a moment ago.
async fn readyz(State(pages): State<Pages>) -> impl IntoResponse {
    let mut text = String::new();
    let mut ready = pages.directory.is_complete();
    let now = Instant::now();
    for engine in &pages.status.engines {
        let link = engine.link();
        ready &= link.is_ready(now);
        // Writing to a string cannot fail.
        let _ = write!(text, "{}: {}", engine.url, link.state.as_str());
        if link.state != EngineState::Live {
            let (time, stale) = (now.saturating_duration_since(link.since), link.staleness(now));
            let (time, stale) = (time.as_secs(), stale.as_secs());
            let _ = write!(text, " for {time} s, names last right {stale} s ago: {}", link.why);
        }
        text.push('\n');
    }
    let verdict = match (ready, pages.directory.is_complete()) {
        (true, _) => "ready\n",
        (false, true) => "stale: answering from the last map\n",
        (false, false) => "starting: names that are not known yet get SERVFAIL\n",
    };
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, verdict.to_owned() + &text)
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics::encode(pages) {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(serde::Deserialize)]
struct NamesQuery {
    name: Option<String>,
}

async fn names_page(
    State(pages): State<Pages>,
    Query(query): Query<NamesQuery>,
) -> impl IntoResponse {
    match names::listing(&pages, query.name.as_deref()) {
        Ok(listing) => Json(listing).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("name: {error}\n")).into_response(),
    }
}
