//! HTTP on the fake engine's socket: connections, paths, and the faults on the way.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, SERVER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::answers::text;
use super::filters::Filters;
use super::{Asked, Faults, Shared, Version};

/// Connections served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// Containers in a piece of a list: what comes and goes between two pieces may be on it or not.
const PIECE: usize = 512;
/// Bytes of an answer that wait for a slow reader, before the kernel's own.
const BUFFER: usize = 16 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves what is opened until it is closed; None closes.
pub(super) async fn serve(shared: Arc<Shared>, mut doors: mpsc::Receiver<Door>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut listener: Option<UnixListener> = None;
    let (mut close, mut closed) = watch::channel(());
    loop {
        let accept = match &listener {
            Some(listener) => Either::Left(listener.accept()),
            None => Either::Right(std::future::pending()),
        };
        tokio::select! {
            door = doors.recv() => {
                let Some(Door { open, done }) = door else { return };
                listener = open.and_then(|listener| UnixListener::from_std(listener).ok());
                if listener.is_none() {
                    // Whoever is connected is cut off.
                    (close, closed) = watch::channel(());
                }
                let _ = done.send(());
            }
            accepted = accept => {
                let Ok((stream, _)) = accepted else { continue };
                let (shared, mut closed) = (shared.clone(), closed.clone());
                let permit = permits.clone().acquire_owned().await;
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection(stream, shared) => {}
                        // It only ever ends.
                        _ = closed.changed() => {}
                    }
                    drop(permit);
                });
            }
        }
        // The old sender's end is the signal; this one must live on.
        let _ = &close;
    }
}

/// A listener to serve from now on, or none; `done` is told when that is so.
pub(super) struct Door {
    pub(super) open: Option<std::os::unix::net::UnixListener>,
    pub(super) done: std::sync::mpsc::Sender<()>,
}

/// One client. The bytes to it pass a gate that can be shut or narrowed.
async fn connection(stream: UnixStream, shared: Arc<Shared>) {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (mut from_client, to_client) = stream.into_split();
    let (from_server, mut to_server) = tokio::io::split(theirs);
    let faults = shared.faults.subscribe();
    let service = service_fn(|request| answer(request, shared.clone()));
    let server = async {
        let http = hyper::server::conn::http1::Builder::new();
        // A client that goes away in the middle is its own business.
        let _ = http.serve_connection(TokioIo::new(ours), service).await;
    };
    let requests = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    tokio::join!(server, requests, gate(from_server, to_client, faults));
}

async fn gate(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut faults: watch::Receiver<Faults>,
) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let Ok(trickle) = faults.wait_for(|f| !f.stall).await.map(|f| f.trickle) else {
                return;
            };
            let now = if trickle.is_some() { 1 } else { rest.len() };
            if to.write_all(&rest[..now]).await.is_err() {
                return;
            }
            rest = &rest[now..];
            if let Some(pause) = trickle {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    shared.record(Asked { method: method.to_string(), path: path.clone(), query: query.clone() });
    let faults = shared.faults.borrow().clone();
    pause(faults.latency).await;
    let (api, path) = match versioned(&path, &shared) {
        Ok(found) => found,
        Err(response) => return Ok(*response),
    };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let reads = method == Method::GET || (method == Method::HEAD && path == "/_ping");
    let response = match parts[..] {
        _ if !reads => no_page(),
        ["_ping"] => plain(StatusCode::OK, "OK"),
        ["version"] => {
            let version = shared.books().version(shared.api);
            json_body(StatusCode::OK, &version)
        }
        ["events"] if faults.fail_events => failing(),
        ["events"] => events(&query, &shared),
        // A list of one network is how it is looked at.
        ["networks"] if faults.fail_inspect && query.contains("filters") => failing(),
        ["containers", "json"] | ["networks"] if faults.fail_list && query.is_empty() => failing(),
        ["containers", "json"] => {
            let all = parameter(&query, "all").is_some_and(|all| all == "1" || all == "true");
            wanted(&query, &["label"], |wanted| containers(&shared, all, &wanted, api))
        }
        ["networks"] => wanted(&query, &["id", "label"], |wanted| {
            json_text(StatusCode::OK, shared.books().networks(&wanted))
        }),
        ["containers", _, "json"] | ["networks", _] if faults.fail_inspect => failing(),
        ["containers", name, "json"] => {
            if let Some((_, time)) = faults.slow_inspect.filter(|(slow, _)| shared.is(slow, name)) {
                pause(time).await;
            }
            let missing = format!("No such container: {name}");
            found(shared.books().inspect(name, api), &missing)
        }
        ["networks", name] => {
            let network = shared.books().network(name).map(|network| network.to_string());
            found(network, &format!("network {name} not found"))
        }
        _ => no_page(),
    };
    Ok(with_headers(response, &shared))
}

/// The API version that is asked for, by default the newest, and the path without it.
fn versioned(path: &str, shared: &Shared) -> Result<(Version, String), Box<Response<Body>>> {
    let (newest, oldest) = (shared.api.newest, shared.api.oldest);
    let prefixed = path.strip_prefix("/v").and_then(|rest| {
        let (version, rest) = rest.split_once('/')?;
        let (major, minor) = version.split_once('.')?;
        Some(((major.parse().ok()?, minor.parse().ok()?), format!("/{rest}")))
    });
    let Some((asked, rest)) = prefixed else { return Ok((newest, path.to_owned())) };
    let refused = if asked > newest {
        let message = format!(
            "client version {} is too new. Maximum supported API version is {}",
            text(asked),
            text(newest)
        );
        message_body(StatusCode::BAD_REQUEST, &message)
    } else if asked < oldest {
        // Docker 20.10 says this one as plain text; newer ones say both as JSON.
        let message = format!(
            "client version {} is too old. Minimum supported API version is {}, please upgrade \
             your client to a newer version",
            text(asked),
            text(oldest)
        );
        if newest < (1, 44) {
            plain(StatusCode::BAD_REQUEST, message + "\n")
        } else {
            message_body(StatusCode::BAD_REQUEST, &message)
        }
    } else {
        return Ok((asked, rest));
    };
    Err(Box::new(with_headers(refused, shared)))
}

fn events(query: &str, shared: &Shared) -> Response<Body> {
    let filters = parameter(query, "filters").unwrap_or_else(|| "{}".to_owned());
    let wanted = match Filters::read(&filters, &["type", "event", "label"]) {
        Ok(wanted) => wanted,
        Err(why) => return message_body(StatusCode::BAD_REQUEST, &why),
    };
    let since = parameter(query, "since").and_then(|since| nanos(&since));
    let garbage = shared.faults.borrow().garbage;
    let queue = shared.hub().listen(wanted, since, garbage);
    let chunks = stream::unfold(queue, |mut queue| async { Some((queue.recv().await?, queue)) });
    let body = StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data)));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// `1795512079` or `1795512079.126772666`
fn nanos(since: &str) -> Option<u64> {
    let (seconds, fraction) = since.split_once('.').unwrap_or((since, "0"));
    let fraction: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// What is wanted of a list, if these filters can say it.
fn wanted(
    query: &str,
    known: &[&str],
    list: impl FnOnce(Filters) -> Response<Body>,
) -> Response<Body> {
    let filters = parameter(query, "filters").unwrap_or_else(|| "{}".to_owned());
    match Filters::read(&filters, known) {
        Ok(wanted) => list(wanted),
        Err(why) => message_body(StatusCode::BAD_REQUEST, &why),
    }
}

/// The list of containers: a long one in pieces, between which others are served.
fn containers(shared: &Arc<Shared>, all: bool, wanted: &Filters, api: Version) -> Response<Body> {
    let books = shared.books();
    let ids = books.listed(all, wanted);
    if ids.len() <= PIECE {
        return json_text(StatusCode::OK, format!("[{}]", books.list(&ids, api)));
    }
    let pieces = ids.len().div_ceil(PIECE);
    let shared = shared.clone();
    let pieces = stream::iter(0..pieces).then(move |piece| {
        let ids = &ids[piece * PIECE..ids.len().min((piece + 1) * PIECE)];
        let start = if piece == 0 { "[" } else { "," };
        let end = if piece + 1 == pieces { "]\n" } else { "" };
        let text = format!("{start}{}{end}", shared.books().list(ids, api));
        async move {
            tokio::task::yield_now().await;
            Ok(Frame::data(Bytes::from(text)))
        }
    });
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn found(text: Option<String>, missing: &str) -> Response<Body> {
    match text {
        Some(text) => json_text(StatusCode::OK, text),
        None => message_body(StatusCode::NOT_FOUND, missing),
    }
}

fn no_page() -> Response<Body> {
    message_body(StatusCode::NOT_FOUND, "page not found")
}

fn failing() -> Response<Body> {
    message_body(StatusCode::INTERNAL_SERVER_ERROR, "the fake engine was told to fail")
}

fn message_body(status: StatusCode, message: &str) -> Response<Body> {
    json_body(status, &json!({ "message": message }))
}

const JSON: hyper::header::HeaderValue =
    hyper::header::HeaderValue::from_static("application/json");
const TEXT: hyper::header::HeaderValue =
    hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");

fn json_body(status: StatusCode, value: &Value) -> Response<Body> {
    json_text(status, value.to_string())
}

fn json_text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = plain(status, text + "\n");
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// Every answer says which API it is by.
fn with_headers(mut response: Response<Body>, shared: &Shared) -> Response<Body> {
    let headers = response.headers_mut();
    let headers_of_all = [("api-version", text(shared.api.newest)), ("ostype", "linux".to_owned())];
    for (name, value) in headers_of_all {
        headers.extend(
            value.parse().ok().map(|value| (hyper::header::HeaderName::from_static(name), value)),
        );
    }
    headers.insert(SERVER, hyper::header::HeaderValue::from_static("Docker/fake (linux)"));
    response
}

/// A value of the query, with its percent signs undone.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
