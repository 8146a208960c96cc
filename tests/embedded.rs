//! A hickory server of somebody else's, with netalias's answers: the library's `Handler`.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::sync::Arc;

use hickory_server::Server;
use netalias::directory;
use netalias::dns::forward::Forwarder;
use netalias::dns::{Handler, Service};
use netalias::model::Policy;
use netalias::source::scenario::{DEMO, DEMO_NAME, Player, parse};
use netalias::status::Status;
use netalias_testkit::ask;
use tokio::net::UdpSocket;

#[test]
fn a_hickory_server_answers_from_a_directory_by_the_handler() {
    let (publisher, reader) = directory::new(1, Policy::default());
    let mut player = Player::new(publisher);
    for line in parse(DEMO_NAME, DEMO).expect("the demo's scenario") {
        player.play(&line.command).expect("it can be done");
    }
    let status = Arc::new(Status::new(&[]));
    let forwarder = Forwarder::new(reader.clone(), status.clone(), Vec::new());
    let forwarder = forwarder.expect("a forwarder");
    let service = Service { directory: reader, status: status.clone(), forwarder };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut server, address) = runtime.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        let mut server = Server::new(Handler::new(service));
        server.register_socket(socket);
        (server, address)
    });
    let first = || ask(address, "inner-dns-net", "A").expect("an answer").addresses[0].to_string();
    let firsts = [first(), first(), first(), first()];
    assert_eq!(firsts, ["172.200.1.2", "172.200.1.3", "172.200.1.4", "172.200.1.5"]);
    let nobody = ask(address, "nobody.rr.internal", "A").expect("an answer").message;
    assert_eq!(u16::from(nobody.metadata.response_code), 3);
    assert_eq!(nobody.authorities.len(), 1, "with a SOA");
    assert_eq!((status.answers.data.get(), status.answers.nxdomain.get()), (4, 1));
    runtime.block_on(server.shutdown_gracefully()).expect("it ends");
}
