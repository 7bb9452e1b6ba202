//! What holds for every stream, and for every way it comes in chunks.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::reference;
use super::*;
use crate::{Comment, Event, EventType};

/// Streams in which every rule of the format has its border somewhere.
const TRICKY: &[&[u8]] = &[
    b"",
    b"data: a\r\n\r\ndata: b\r\r\ndata: c\n\r\n",
    b"\xef\xbb\xbfdata: bom\n\n\xef\xbb\xbfdata: no\n\n",
    b"\xef\xbbdata: half a mark\n\ndata: x\n\n",
    b"\xef\xbb\xbf\xef\xbb\xbfdata: no\n\ndata\n\n",
    b"event: e\nid: 1\nretry: 12\ndata: x\ndata:  y\ndata:\n\n",
    b"event: a\ndata: x\nevent\n\nevent: b\n\ndata: y\n\n",
    b"event: one\nevent: two\ndata: x\n\nevent: three\nevent: four\ndata\n\n",
    b"id: 1\n\ndata: a\n\nid: 2\0\ndata: b\n\nid\ndata: c\n\nid: 3\ndata: d",
    b"id: \0\nid: 4\nid: 5\0\n\ndata: e\n\n",
    b"retry: 1\nretry: 2x\nretry:\nretry\nretry: 99999999999999999999\n",
    b":\n: c\n:data: no\r\ndata: a\r:\r\n\r\n",
    b"datax: no\ndat: no\neventual: no\nretrying: 1\nids: no\n:\ndata:data:\n\n",
    b"data: \xe2\x82\xac\xf0\x9f\x98\x80\ndata: \xe2\x82\ndata:\xff \xac\n\n",
    b"event: \xc3\nid: \xed\xa0\x80\ndata\n\n",
    b"data\n\ndata\ndata\n\ndata:\n\ndata",
];

#[test]
fn the_tricky_streams_read_as_the_standard_says() {
    for stream in TRICKY {
        assert_eq!(
            decode(stream),
            reference::read(stream).into(),
            "{}",
            stream.escape_ascii()
        );
    }
}

#[test]
fn the_tricky_streams_read_the_same_at_every_pair_of_splits() {
    for stream in TRICKY {
        let whole = decode(stream);
        for second in 0..=stream.len() {
            let (head, tail) = stream.split_at(second);
            for first in 0..=second {
                let (start, middle) = head.split_at(first);
                let split = decode_chunks(Decoder::new(), [start, middle, tail]);
                assert_eq!(
                    split,
                    whole,
                    "{} at {first}, {second}",
                    stream.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn the_tricky_streams_read_the_same_byte_by_byte_under_every_limit() {
    for stream in TRICKY {
        for limit in 0..20 {
            let whole = decode_chunks(Decoder::with_limit(limit), [*stream]);
            let bytewise = decode_chunks(Decoder::with_limit(limit), stream.chunks(1));
            assert_eq!(whole, bytewise, "{} under {limit}", stream.escape_ascii());
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_what_is_decoded(sent in vec(sent(), 0..8)) {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        let (mut last_id, mut retry) = (String::new(), None);
        for sent in &sent {
            Comment::new(&sent.comment).encode(&mut wire);
            let event = sent.event();
            let before = wire.len();
            event.encode(&mut wire);
            prop_assert_eq!(wire.len() - before, event.encoded_len());
            prop_assert_eq!(&event.to_bytes(), &wire[before..]);
            if let Some(id) = &sent.id {
                last_id.clone_from(id);
            }
            retry = sent.retry.map(|n| Duration::from_millis(n.into())).or(retry);
            let event_type = sent.event_type.clone().unwrap_or_else(|| "message".to_owned());
            let data = sent.data.replace("\r\n", "\n").replace('\r', "\n");
            expected.push(Ok((event_type, data, last_id.clone())));
        }
        let decoded = decode(&wire);
        prop_assert_eq!(decoded.events, expected);
        prop_assert_eq!(decoded.last_event_id, last_id);
        prop_assert_eq!(decoded.retry, retry);
        prop_assert!(!wire.contains(&b'\r'));
    }

    #[test]
    fn any_stream_reads_as_the_standard_says(stream in stream()) {
        prop_assert_eq!(decode(&stream), reference::read(&stream).into());
    }

    #[test]
    fn any_split_reads_the_same(
        stream in stream(),
        splits in vec(any::<Index>(), 0..12),
        limit in prop_oneof![0_usize..40, Just(DEFAULT_LIMIT)],
    ) {
        let mut splits: Vec<_> = splits.iter().map(|at| at.index(stream.len() + 1)).collect();
        splits.sort_unstable();
        splits.push(stream.len());
        let mut start = 0;
        let chunks = splits.into_iter().map(|end| {
            let chunk = &stream[start..end];
            start = end;
            chunk
        });
        let split = decode_chunks(Decoder::with_limit(limit), chunks);
        prop_assert_eq!(split, decode_chunks(Decoder::with_limit(limit), [stream.as_slice()]));
    }
}

/// What goes into one event, before it is one.
#[derive(Debug, Clone)]
struct Sent {
    data: String,
    event_type: Option<String>,
    id: Option<String>,
    retry: Option<u32>,
    comment: String,
}

impl Sent {
    fn event(&self) -> Event<'_> {
        let mut event = Event::new(self.data.as_str());
        if let Some(event_type) = &self.event_type {
            event = event.with_type(EventType::new(event_type).unwrap());
        }
        if let Some(id) = &self.id {
            event = event.with_id(EventId::new(id).unwrap());
        }
        if let Some(retry) = self.retry {
            event = event.with_retry(Duration::from_millis(retry.into()));
        }
        event
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    // Where lines could break, or look like something else, more often than chance has it.
    let text = || "([\\r\\n :\u{feff}\\x00]|data:|event: |id: |\\PC){0,12}";
    let parts = (
        text(),
        proptest::option::of("[^\\r\\n]{1,8}"),
        proptest::option::of("[^\\r\\n\\x00]{0,8}"),
        proptest::option::of(any::<u32>()),
        text(),
    );
    parts.prop_map(|(data, event_type, id, retry, comment)| Sent {
        data,
        event_type,
        id,
        retry,
        comment,
    })
}

/// Mostly pieces of streams in any order, sometimes any bytes at all.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"data",
        b"event",
        b"id",
        b"retry",
        b"datum",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data: x\n\n",
        b"id: 7\n",
        b"0",
        b"42",
        b"x",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xe2\x82\xac",
        b"\xe2\x82",
        b"\xff",
        b"\xf0\x9f",
    ];
    prop_oneof![
        4 => vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat()),
        1 => vec(any::<u8>(), 0..80),
    ]
}
