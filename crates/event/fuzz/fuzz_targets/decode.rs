//! Any bytes, in any chunks, under any limit: the decoder does not panic, reads what the standard
//! says, reads the same however the bytes are split, and holds no more than a few times its limit.

#![no_main]

#[path = "../../src/decode/reference.rs"]
mod reference;

use libfuzzer_sys::fuzz_target;
use wellspring_event::{DecodeError, Decoder};

/// Type, data and last event id of an event, or the error in its place.
type Outcome = Result<(String, String, String), DecodeError>;

fuzz_target!(|input: &[u8]| {
    // The first three bytes say how to split and how to limit; the rest is the stream.
    let [first, second, limit, stream @ ..] = input else {
        return;
    };
    let sizes = [usize::from(first % 32) + 1, usize::from(second % 8) + 1];

    let (whole, last_event_id, retry) = read(usize::MAX, [stream]);
    let expected = reference::read(stream);
    assert_eq!(
        whole,
        expected.events.into_iter().map(Ok).collect::<Vec<_>>()
    );
    assert_eq!(last_event_id, expected.last_event_id);
    assert_eq!(retry, expected.retry);

    for limit in [usize::MAX, usize::from(*limit)] {
        assert_eq!(read(limit, split(stream, sizes)), read(limit, [stream]));
        assert_eq!(read(limit, stream.chunks(1)), read(limit, [stream]));
    }
});

/// Reads a stream that comes in `chunks`: its events, its last event id, its `retry` in
/// milliseconds.
fn read<'s>(
    limit: usize,
    chunks: impl IntoIterator<Item = &'s [u8]>,
) -> (Vec<Outcome>, String, Option<u64>) {
    let mut decoder = Decoder::with_limit(limit);
    let mut outcomes = Vec::new();
    for mut input in chunks {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => outcomes.push(Ok((
                    message.event_type().to_owned(),
                    message.data().to_owned(),
                    message.last_event_id().to_owned(),
                ))),
                Ok(None) => break,
                Err(error) => outcomes.push(Err(error)),
            }
            // Seven buffers of at most the limit, three times that where ill-formed bytes became
            // U+FFFD, twice that as vectors grow, and what the smallest of them starts with.
            let bound = limit.saturating_mul(7 * 3 * 2).saturating_add(7 * 16);
            assert!(decoder.retained_bytes() <= bound);
        }
        assert!(input.is_empty());
    }
    let retry = decoder
        .retry()
        .map(|time| u64::try_from(time.as_millis()).unwrap());
    (outcomes, decoder.last_event_id().to_owned(), retry)
}

/// `stream` in chunks of the one size and the other, in turn.
fn split(mut stream: &[u8], sizes: [usize; 2]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    for size in sizes.into_iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (chunk, rest) = stream.split_at(size.min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks
}
