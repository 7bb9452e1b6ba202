//! HTTP/2 (RFC 9113), as little of it as a subscriber needs: windows so large that they need no care, requests
//! out of the static table, and a count of what each stream gets.

use super::scanner::Scanner;
use super::tally::Tally;
use super::{Fault, Target};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The largest window there is (RFC 9113, section 6.9.1): 2 GiB of events need no WINDOW_UPDATE.
const WINDOW: u32 = (1 << 31) - 1;
/// What a connection's window is before anybody says more.
const FIRST_WINDOW: u32 = 65_535;

#[derive(Debug)]
pub(super) struct Session {
    /// The one header block that every request is made of.
    request: Vec<u8>,
    /// In order of their ids: 1, 3, 5...
    streams: Vec<Scanner>,
    /// The frame's header, as far as it has come.
    header: Vec<u8>,
    /// The frame that its payload is awaited of.
    frame: Option<Frame>,
    /// The payload of a frame that is needed in one piece.
    payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    /// Bytes of payload that have not come.
    left: usize,
}

impl Session {
    /// A session, and what it begins with: the preface, SETTINGS, the connection's window.
    pub(super) fn new(target: &Target) -> (Self, Vec<u8>) {
        let session = Self {
            request: request(target),
            streams: Vec::new(),
            header: Vec::with_capacity(9),
            frame: None,
            payload: Vec::new(),
        };
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // ENABLE_PUSH off, INITIAL_WINDOW_SIZE.
        let mut settings = vec![0, 2, 0, 0, 0, 0, 0, 4];
        settings.extend_from_slice(&WINDOW.to_be_bytes());
        write_frame(SETTINGS, 0, 0, &settings, &mut out);
        let more = WINDOW - FIRST_WINDOW;
        write_frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), &mut out);
        (session, out)
    }

    /// Asks for streams until there are `streams`.
    pub(super) fn open(&mut self, streams: usize, out: &mut Vec<u8>) {
        while self.streams.len() < streams {
            let id = u32::try_from(2 * self.streams.len() + 1).expect("below 2^31 streams");
            self.streams.push(Scanner::default());
            write_frame(HEADERS, END_HEADERS | END_STREAM, id, &self.request, out);
        }
    }

    /// Takes what came; what must be answered goes to `out`.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        loop {
            let Some(frame) = &mut self.frame else {
                let wanted = 9 - self.header.len();
                let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
                self.header.extend_from_slice(part);
                bytes = rest;
                let Some(frame) = Frame::read(&self.header) else {
                    return Ok(());
                };
                self.header.clear();
                self.frame = Some(frame);
                continue;
            };
            let (part, rest) = bytes.split_at(frame.left.min(bytes.len()));
            frame.left -= part.len();
            bytes = rest;
            let frame = *frame;
            if frame.kind == DATA {
                self.data(frame, part, tally)?;
            } else {
                self.payload.extend_from_slice(part);
            }
            if frame.left > 0 {
                return Ok(());
            }
            self.frame = None;
            if frame.kind != DATA {
                self.whole(frame, out, tally)?;
                self.payload.clear();
            }
        }
    }

    fn data(&mut self, frame: Frame, part: &[u8], tally: &mut Tally) -> Result<(), Fault> {
        if frame.flags & PADDED != 0 {
            return Err(Fault::Protocol(
                "padding, which no server of events has use for",
            ));
        }
        if frame.flags & END_STREAM != 0 {
            return Err(Fault::Closed);
        }
        self.stream(frame)?.take(part, tally)
    }

    /// A frame other than DATA, with all of its payload.
    fn whole(&mut self, frame: Frame, out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), Fault> {
        match frame.kind {
            HEADERS => {
                self.stream(frame)?;
                check_status(frame, &self.payload)?;
                tally.head();
            }
            SETTINGS if frame.flags & ACK == 0 => write_frame(SETTINGS, ACK, 0, &[], out),
            PING if frame.flags & ACK == 0 => write_frame(PING, ACK, 0, &self.payload, out),
            RST_STREAM | GOAWAY => {
                // A GOAWAY begins with the last stream's id.
                let from = if frame.kind == GOAWAY { 4 } else { 0 };
                let code = self.payload.get(from + 3).copied().unwrap_or(0);
                return Err(Fault::Refused(format!(
                    "frame {}, error {code}",
                    frame.kind
                )));
            }
            _ => {}
        }
        Ok(())
    }

    fn stream(&mut self, frame: Frame) -> Result<&mut Scanner, Fault> {
        let index = (frame.stream / 2) as usize;
        self.streams
            .get_mut(index)
            .filter(|_| frame.stream % 2 == 1)
            .ok_or(Fault::Protocol("a stream that was never opened"))
    }
}

impl Frame {
    /// RFC 9113, section 4.1.
    fn read(header: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = header else {
            return None;
        };
        Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
            left: u32::from_be_bytes([0, a, b, c]) as usize,
        })
    }
}

/// Appends a frame.
fn write_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("frames of ours are short");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A request in HPACK (RFC 7541, section 6 and appendix A), nothing of it indexed: it is the same for all streams.
fn request(target: &Target) -> Vec<u8> {
    const METHOD_GET: u8 = 0x82;
    const SCHEME_HTTP: u8 = 0x86;
    const SCHEME_HTTPS: u8 = 0x87;
    let scheme = if target.protocol.is_tls() {
        SCHEME_HTTPS
    } else {
        SCHEME_HTTP
    };
    let mut block = vec![METHOD_GET, scheme];
    let authority = target.address.to_string();
    let fields: [(&[u8], &str); 3] = [
        (&[0x04], &target.path),
        (&[0x01], &authority),
        // `accept` is 19, past the four bits of the prefix.
        (&[0x0f, 0x04], "text/event-stream"),
    ];
    for (name, value) in fields {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).expect("values below 127 bytes"));
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// `:status` comes first (RFC 9113, section 8.3), and 200 is 8 in the static table: no decoder is needed.
fn check_status(frame: Frame, payload: &[u8]) -> Result<(), Fault> {
    let padding = usize::from(frame.flags & PADDED != 0);
    let priority = if frame.flags & PRIORITY != 0 { 5 } else { 0 };
    let block = payload.get(padding + priority..).unwrap_or_default();
    // Updates of the dynamic table's size may come before it (RFC 7541, section 6.3).
    let mut block = block.iter().skip_while(|byte| *byte & 0xe0 == 0x20);
    if block.next() != Some(&0x88) {
        return Err(Fault::Refused("a status other than 200".to_owned()));
    }
    if frame.flags & END_STREAM != 0 {
        return Err(Fault::Closed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Protocol;
    use crate::event::Stamp;

    fn session(streams: usize) -> Session {
        let target = Target {
            protocol: Protocol::H2,
            address: ([127, 0, 0, 1], 1).into(),
            path: "/topics/t".into(),
            authority: "none".into(),
        };
        let (mut session, _) = Session::new(&target);
        session.open(streams, &mut Vec::new());
        session
    }

    #[test]
    fn streams_are_told_apart_however_the_frames_are_cut() {
        let mut text = String::from("data: ");
        Stamp { number: 0, time: 1 }.write(100, &mut text);
        text.push_str("\n\n");
        let mut bytes = Vec::new();
        write_frame(SETTINGS, 0, 0, &[], &mut bytes);
        write_frame(PING, 0, 0, b"12345678", &mut bytes);
        for stream in [1, 3] {
            write_frame(HEADERS, END_HEADERS, stream, &[0x88], &mut bytes);
            write_frame(DATA, 0, stream, &text.as_bytes()[..40], &mut bytes);
        }
        for stream in [3, 1] {
            write_frame(DATA, 0, stream, &text.as_bytes()[40..], &mut bytes);
        }
        for size in 1..bytes.len() {
            let (mut session, mut tally, mut out) = (session(2), Tally::new(), Vec::new());
            for piece in bytes.chunks(size) {
                session
                    .take(piece, &mut out, &mut tally)
                    .expect("it is valid");
            }
            assert_eq!(
                (tally.heads(), tally.delivered()),
                (2, 2),
                "pieces of {size}"
            );
            assert_eq!(out.len(), 9 + 9 + 8, "SETTINGS and PING are acknowledged");
        }
    }

    #[test]
    fn a_reset_a_refusal_and_an_end_are_faults() {
        for (kind, flags, payload) in [
            (RST_STREAM, 0, &[0, 0, 0, 7][..]),
            (HEADERS, END_HEADERS, &[0x8d]),
            (HEADERS, END_HEADERS | END_STREAM, &[0x88]),
            (DATA, END_STREAM, &[]),
            (GOAWAY, 0, &[0, 0, 0, 1, 0, 0, 0, 11]),
        ] {
            let mut bytes = Vec::new();
            write_frame(kind, flags, 1, payload, &mut bytes);
            session(1)
                .take(&bytes, &mut Vec::new(), &mut Tally::new())
                .expect_err("the stream is over");
        }
    }
}
