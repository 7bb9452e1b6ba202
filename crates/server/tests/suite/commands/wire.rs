//! A wire between a client and the server that can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Carries bytes both ways. New connections can always be made.
pub(crate) struct Wire {
    url: String,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// To the server at this address.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ends = Arc::new(Mutex::new(Vec::new()));
        let (kept, server) = (Arc::clone(&ends), server.to_owned());
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let far = TcpStream::connect(&server).unwrap();
                // What is a packet on one side is a packet on the other.
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let clone = |end: &TcpStream| end.try_clone().unwrap();
                kept.lock().unwrap().extend([clone(&near), clone(&far)]);
                carry(clone(&near), clone(&far));
                carry(far, near);
            }
        });
        Self { url, ends }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every connection that there is; how many that were.
    pub(crate) fn cut(&self) -> usize {
        let ends: Vec<_> = self.ends.lock().unwrap().drain(..).collect();
        for end in &ends {
            let _ = end.shutdown(Shutdown::Both);
        }
        ends.len() / 2
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
