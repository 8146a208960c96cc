//! `netalias healthcheck`: whether the server beside it can answer.

use super::ask_http::ServerArgs;

/// Says why not on standard error, which `docker inspect` shows.
pub(super) async fn run(args: ServerArgs) -> bool {
    match args.get("/healthz").await {
        Ok((status, _)) if status.is_success() => true,
        Ok((_, body)) => {
            anstream::eprint!("netalias: {}", String::from_utf8_lossy(&body));
            false
        }
        Err(error) => {
            anstream::eprintln!("netalias: {error:#}");
            false
        }
    }
}
