//! What decoding costs.

use super::*;

#[test]
fn an_event_whole_in_the_input_is_lent_from_there() {
    let stream = b"event: token\nid: 1\ndata: hello\n\n".repeat(3);
    let mut decoder = Decoder::new();
    let mut input = stream.as_slice();
    let mut seen = 0;
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        assert!(stream.as_ptr_range().contains(&message.data().as_ptr()));
        assert!(
            stream
                .as_ptr_range()
                .contains(&message.event_type().as_ptr())
        );
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_steady_stream_does_not_grow_the_buffers() {
    let event = b"event: token\nid: 1234\ndata: hello\ndata: world\n\n";
    let mut decoder = Decoder::new();
    let mut retained = Vec::new();
    for _ in 0..100 {
        // Seven events, so that the chunks cut each place of an event once.
        for mut input in event.repeat(7).chunks(7) {
            while decoder.decode(&mut input).unwrap().is_some() {}
        }
        retained.push(decoder.retained_bytes());
    }
    assert_ne!(retained[0], 0);
    assert!(
        retained.iter().all(|&bytes| bytes == retained[0]),
        "{retained:?}"
    );
}

#[test]
fn a_line_of_8_mib_in_small_reads_is_read_in_linear_time() {
    // Were each read to search the line anew, these would be 10^11 bytes, and many minutes.
    let text = "x".repeat(8 << 20);
    let stream = format!("data: {text}\n\n");
    let outcome = decode_chunks(Decoder::with_limit(16 << 20), stream.as_bytes().chunks(256));
    assert_eq!(outcome.events.len(), 1);
    assert!(outcome.events[0].as_ref().unwrap().1 == text);
}
