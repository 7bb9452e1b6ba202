//! Connections over cores, and addresses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use wellspring_front::{Front, Scheme};

use crate::{application::Server, browser::connect, until};

#[tokio::test]
async fn connections_are_spread_evenly_and_stay_even() {
    let server = Server::with(3, |_| {});
    let address = server.address(Scheme::Http);
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(connect(address).await);
    }
    let total = || server.running.connections().iter().sum::<usize>();
    until("50 to be served", || total() == 50).await;
    let mut spread = server.running.connections();
    spread.sort_unstable();
    assert_eq!(spread, [16, 17, 17]);

    let application = &server.application;
    until("the application to know them", || {
        application.connections.lock().unwrap().len() == 50
    })
    .await;
    // All of one core's connections end, and the next ones fill the hole.
    let shard_of: std::collections::HashMap<_, _> = server
        .application
        .connections
        .lock()
        .unwrap()
        .iter()
        .map(|connection| (connection.peer, connection.shard))
        .collect();
    open.retain(|stream| shard_of[&stream.local_addr().unwrap()] != 0);
    let left = open.len();
    until("one core to be empty", || total() == left).await;
    for _ in left..50 {
        open.push(connect(address).await);
    }
    until("50 to be served", || total() == 50).await;
    let mut spread = server.running.connections();
    spread.sort_unstable();
    assert_eq!(spread, [16, 17, 17]);
}

#[test]
fn ipv4_and_ipv6_share_a_port_number() {
    let bound = Front::builder()
        .plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
        .bind()
        .unwrap();
    let (_, four) = bound.addresses()[0];
    let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, four.port()));
    if let Err(error) = Front::builder().plain(six).bind() {
        // A machine without IPv6 has nothing to share with.
        assert_ne!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    }
}
