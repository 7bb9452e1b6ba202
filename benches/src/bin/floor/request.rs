//! Requests as the clients of the comparison send them: HTTP/1.1 or HTTP/2, told apart by the preface.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What somebody wants.
pub(crate) enum Request {
    /// Events, on this stream; 0 is HTTP/1.1.
    Subscribe(u32),
    /// An event a line for everybody.
    Publish(Vec<u8>),
}

/// Requests out of a connection's bytes.
#[derive(Default)]
pub(crate) struct Requests {
    unread: Vec<u8>,
    is_h2: bool,
}

impl Requests {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next whole request; the head of its answer, and whatever the protocol wants, goes to `answer`.
    pub(crate) fn next(&mut self, answer: &mut Vec<u8>) -> Option<Request> {
        if self.unread.starts_with(PREFACE) {
            self.unread.drain(..PREFACE.len());
            self.is_h2 = true;
            // SETTINGS that change nothing.
            answer.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        }
        let next = if self.is_h2 {
            self.next_h2(answer)
        } else {
            self.next_h1(answer)
        };
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        next
    }

    fn next_h1(&mut self, answer: &mut Vec<u8>) -> Option<Request> {
        let end = memchr::memmem::find(&self.unread, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        if head.starts_with("GET ") {
            self.unread.drain(..end);
            answer.extend_from_slice(STREAM_HEAD);
            return Some(Request::Subscribe(0));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if self.unread.len() < end + length {
            return None;
        }
        let body = self.unread[end..end + length].to_vec();
        self.unread.drain(..end + length);
        Some(Request::Publish(body))
    }

    fn next_h2(&mut self, answer: &mut Vec<u8>) -> Option<Request> {
        const HEADERS: u8 = 1;
        const SETTINGS: u8 = 4;
        loop {
            let &[a, b, c, kind, flags, d, e, f, g, ..] = self.unread.as_slice() else {
                return None;
            };
            let whole = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            if self.unread.len() < whole {
                return None;
            }
            self.unread.drain(..whole);
            match kind {
                HEADERS => {
                    // `:status: 200` is 8 of the static table, `content-type` 31.
                    let mut block = vec![0x88, 0x0f, 0x10, 17];
                    block.extend_from_slice(b"text/event-stream");
                    answer.extend_from_slice(&[0, 0, u8::try_from(block.len()).ok()?]);
                    answer.extend_from_slice(&[HEADERS, 4, d, e, f, g]);
                    answer.extend_from_slice(&block);
                    return Some(Request::Subscribe(u32::from_be_bytes([d, e, f, g])));
                }
                SETTINGS if flags == 0 => {
                    answer.extend_from_slice(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]);
                }
                _ => {}
            }
        }
    }
}
