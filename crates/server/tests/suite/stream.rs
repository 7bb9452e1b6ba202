//! An event stream as a client reads it.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use wellspring_event::Decoder;

use crate::program::{Program, soon};
use crate::transport::{Client, Transport, bare, header};

/// An open stream.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) headers: HeaderMap,
    body: Incoming,
    decoder: Decoder,
    decoded: VecDeque<Seen>,
    raw: Vec<u8>,
    client: Option<Client>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Events {
    /// Opens a stream on a connection of its own.
    pub(crate) async fn open(program: &Program, transport: Transport, path: &str) -> Self {
        Self::resume(program, transport, path, "").await
    }

    /// Opens a stream after the event with this id.
    pub(crate) async fn resume(
        program: &Program,
        transport: Transport,
        path: &str,
        id: &str,
    ) -> Self {
        let mut request = Request::get(path).header("accept", "text/event-stream");
        if !id.is_empty() {
            request = request.header("last-event-id", id);
        }
        let mut client = Client::connect(program, transport).await;
        let response = client.send(bare(request)).await.unwrap();
        let mut events = Self::of(response);
        events.client = Some(client);
        events
    }

    /// Reads the stream that a response is.
    pub(crate) fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let (head, body) = response.into_parts();
        assert_eq!(header(&head.headers, "content-type"), "text/event-stream");
        Self {
            headers: head.headers,
            body,
            decoder: Decoder::with_limit(16 << 20),
            decoded: VecDeque::new(),
            raw: Vec::new(),
            client: None,
        }
    }

    /// The next event, or `None` at a clean end.
    pub(crate) async fn try_next(&mut self) -> hyper::Result<Option<Seen>> {
        while self.decoded.is_empty() {
            match self.frame("an event").await? {
                None => return Ok(None),
                Some(data) => self.take_in(&data),
            }
        }
        Ok(self.decoded.pop_front())
    }

    /// The next event; the stream must not end before.
    pub(crate) async fn next(&mut self) -> Seen {
        let next = self.try_next().await.unwrap();
        next.unwrap_or_else(|| panic!("it ended after {:?}", self.text()))
    }

    /// So many events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Seen> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Everything to the end, which must be clean.
    pub(crate) async fn rest(&mut self) -> Vec<Seen> {
        let mut rest = Vec::new();
        while let Some(event) = self.try_next().await.unwrap() {
            rest.push(event);
        }
        rest
    }

    /// Reads until the bytes that came are what is wanted.
    pub(crate) async fn read_until(&mut self, wanted: impl Fn(&str) -> bool) {
        while !wanted(self.text()) {
            let data = self.frame("bytes").await.unwrap();
            let data = data.unwrap_or_else(|| panic!("it ended after {:?}", self.text()));
            self.take_in(&data);
        }
    }

    /// All bytes of the body so far.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.raw).unwrap()
    }

    /// Vanishes without a word.
    pub(crate) async fn cut(mut self) {
        if let Some(client) = self.client.take() {
            client.cut().await;
        }
    }

    async fn frame(&mut self, what: &str) -> hyper::Result<Option<Bytes>> {
        let Some(frame) = soon(what, self.body.frame()).await.transpose()? else {
            return Ok(None);
        };
        let data = frame.into_data().unwrap();
        if !data.is_empty() {
            return Ok(Some(data));
        }
        // HTTP/2 may end with an empty DATA frame; one that ends nothing is what clients take for an attack.
        let after = soon("the end", self.body.frame()).await;
        assert!(after.is_none(), "an empty DATA frame in the middle");
        Ok(None)
    }

    fn take_in(&mut self, data: &[u8]) {
        self.raw.extend_from_slice(data);
        let mut input = data;
        while let Some(message) = self.decoder.decode(&mut input).unwrap() {
            assert!(!message.is_repaired());
            self.decoded.push_back(Seen {
                event: message.event_type().to_owned(),
                id: message.last_event_id().to_owned(),
                data: message.data().to_owned(),
            });
        }
    }
}

impl Seen {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// The data of each.
pub(crate) fn data(events: &[Seen]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}
