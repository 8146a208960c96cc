//! An engine on TCP, which wants a certificate of its clients, and must have one itself.

use std::path::Path;
use std::process::Command;

use netalias_testkit::{Folder, OwnEngine, Process};

use super::Test;
use super::following::{RECOVERY, SOON, changes, is_ready_within, is_right_within, serve};
use super::following::{three_backends, truth};

pub(crate) const TESTS: &[(&str, Test)] = &[("tls::client_certificates", client_certificates)];

const HERE: &str = "10.255.253.1";
const THERE: &str = "10.255.253.2";

/// Its own engine: that of the suite is not to end with other flags.
fn client_certificates(_: &mut OwnEngine) {
    let (folder, strangers) = (Folder::new(), Folder::new());
    make_certificates(folder.path());
    make_certificates(strangers.path());
    let mut engine = OwnEngine::start().expect("a second one");
    engine.link(HERE, THERE).expect("a link");
    engine.stop();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (authority, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    let listen = format!("tcp://{THERE}:2376");
    engine.set_flags(&[
        "--tlsverify",
        "--tlscacert",
        &authority,
        "--tlscert",
        &certificate,
        "--tlskey",
        &key,
        "-H",
        &listen,
    ]);
    engine.start_again();
    let docker = engine.docker();
    three_backends(docker);
    let process = start(&listen, folder.path());
    is_ready_within(&process, RECOVERY);
    changes(docker);
    is_right_within(&process, docker, SOON);
    assert!(truth(docker).len() > 3, "there is something to know");
    // Without a port it is Docker's.
    let process = start(&format!("tcp://{THERE}"), folder.path());
    is_ready_within(&process, RECOVERY);
    says(&start(&listen, strangers.path()), "invalid peer certificate");
    // The engine's authority, but a certificate by another.
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(strangers.path().join(name), folder.path().join(name)).expect("a file");
    }
    says(&start(&listen, folder.path()), "cannot reach the engine");
    std::fs::remove_file(folder.path().join("key.pem")).expect("a file");
    says(&start(&listen, folder.path()), "key.pem: No such file");
}

fn start(url: &str, certificates: &Path) -> Process {
    let mut command = serve(url);
    let command = command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", certificates);
    Process::start(command)
}

fn says(process: &Process, why: &str) {
    process.says(why);
    assert_eq!(process.get("/readyz").0, 503);
}

/// An authority, and a certificate by it for the engine and for a client.
fn make_certificates(folder: &Path) {
    let script = format!(
        "set -e; new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'
         openssl req -x509 $new -subj /CN=authority -keyout ca.key -out ca.pem
         sign() {{
             openssl req $new -subj /CN=$1 -keyout $2 -out request
             printf \"$4\" > extensions
             openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                 -extfile extensions -out $3
         }}
         sign engine server.key server.pem 'subjectAltName=IP:{THERE}\\nextendedKeyUsage=serverAuth'
         sign client key.pem cert.pem 'extendedKeyUsage=clientAuth'"
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder).output();
    let output = output.expect("sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
