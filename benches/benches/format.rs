//! What the format costs: encoding and decoding, each beside a plain copy of the same bytes.
//!
//! `cargo bench -p wellspring-benches --bench format` prints time per iteration and throughput.
//! One iteration of `encode` is one event; of `decode`, a stream of [`EVENTS`] events, so that
//! its throughput reads in events per second (and the time, divided by [`EVENTS`], per event).

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wellspring_event::{Decoder, Event, EventId, EventType};

/// Events in one decoded stream: large enough to leave the first-level cache, as a real one does.
const EVENTS: usize = 1_000;
/// An IPv4 TCP segment's payload on Ethernet: what a read from the network often returns.
const PACKET: usize = 1_460;
/// What is appended to, over and over, with room reserved: as a log's segment is filled. (Writing
/// to one place again and again measures how stores alias, not what an append costs.)
const SEGMENT: usize = 64 * 1024;
/// A large read.
const READ: usize = 16 * 1024;

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for len in [3, 164, 4_000] {
        let data = token_text(len);
        let id = EventId::new("k3v9x2-000000001234").expect("an id");
        let event = Event::new(data.as_str()).with_id(id);
        let wire = event.to_bytes();
        group.throughput(Throughput::Bytes(wire.len() as u64));

        let mut segment = Vec::with_capacity(SEGMENT);
        group.bench_function(BenchmarkId::new("memcpy", len), |bench| {
            bench.iter(|| {
                if segment.capacity() - segment.len() < wire.len() {
                    black_box(&segment).len();
                    segment.clear();
                }
                segment.extend_from_slice(black_box(&wire));
            });
        });
        group.bench_function(BenchmarkId::new("append to Vec", len), |bench| {
            bench.iter(|| {
                if segment.capacity() - segment.len() < wire.len() {
                    black_box(&segment).len();
                    segment.clear();
                }
                black_box(&event).encode(&mut segment);
            });
        });
        let mut segment = BytesMut::with_capacity(SEGMENT);
        group.bench_function(BenchmarkId::new("append to BytesMut", len), |bench| {
            bench.iter(|| {
                if segment.capacity() - segment.len() < wire.len() {
                    black_box(&segment).len();
                    segment.clear();
                }
                black_box(&event).encode(&mut segment);
            });
        });
        group.bench_function(BenchmarkId::new("memcpy to Bytes", len), |bench| {
            bench.iter(|| Bytes::copy_from_slice(black_box(&wire)));
        });
        group.bench_function(BenchmarkId::new("to Bytes", len), |bench| {
            bench.iter(|| black_box(&event).to_bytes());
        });
    }
    let lines = Event::new("twenty bytes a line,\n".repeat(8));
    let mut out = Vec::with_capacity(lines.encoded_len());
    group.throughput(Throughput::Bytes(lines.encoded_len() as u64));
    group.bench_function("append 9 lines to Vec", |bench| {
        bench.iter(|| {
            out.clear();
            black_box(&lines).encode(&mut out);
            black_box(out.as_slice());
        });
    });
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let streams = [
        ("LLM chunk", stream(&Event::new(llm_chunk()))),
        ("LLM chunk with type and id", {
            let event_type = EventType::new("response.output_text.delta").expect("a type");
            let id = EventId::new("k3v9x2-000000001234").expect("an id");
            stream(&Event::new(llm_chunk()).with_type(event_type).with_id(id))
        }),
        ("11 bytes", stream(&Event::new("abc"))),
    ];
    for (name, wire) in &streams {
        let mut group = criterion.benchmark_group(format!("decode {EVENTS} x {name}"));
        group.throughput(Throughput::Elements(EVENTS as u64));
        memcpy(&mut group, wire);
        for read in [PACKET, READ] {
            group.bench_function(BenchmarkId::new("lent, reads of", read), |bench| {
                bench.iter(|| decode_all(wire, read, |data| black_box(data).len()));
            });
            group.bench_function(BenchmarkId::new("owned, reads of", read), |bench| {
                bench.iter(|| decode_all(wire, read, |data| black_box(data.to_owned()).len()));
            });
        }
        group.finish();
    }

    let line = Event::new(token_text(8 << 20)).to_bytes();
    let mut group = criterion.benchmark_group("decode one line of 8 MiB");
    group
        .throughput(Throughput::Bytes(line.len() as u64))
        .sample_size(20);
    memcpy(&mut group, &line);
    for read in [PACKET, READ, line.len()] {
        group.bench_function(BenchmarkId::new("lent, reads of", read), |bench| {
            bench.iter(|| decode_all(&line, read, |data| black_box(data).len()));
        });
    }
    group.finish();
}

fn memcpy(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    wire: &[u8],
) {
    let mut out = Vec::with_capacity(wire.len());
    group.bench_function("memcpy", |bench| {
        bench.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(wire));
            black_box(out.as_slice());
        });
    });
}

/// Decodes `wire` in reads of `read` bytes; returns what `each` made of the events, added up.
fn decode_all(wire: &[u8], read: usize, mut each: impl FnMut(&str) -> usize) -> usize {
    let mut decoder = Decoder::with_limit(usize::MAX);
    let mut sum = 0;
    for mut input in wire.chunks(read) {
        while let Some(message) = decoder.decode(&mut input).expect("no limit") {
            sum += each(message.data());
        }
    }
    assert_ne!(sum, 0);
    sum
}

fn stream(event: &Event<'_>) -> Vec<u8> {
    event.to_bytes().repeat(EVENTS)
}

/// Text of `len` bytes, all ASCII, as most tokens are.
fn token_text(len: usize) -> String {
    "the quick brown fox jumps over the lazy dog "
        .chars()
        .cycle()
        .take(len)
        .collect()
}

/// One chunk as the OpenAI chat dialect has it; 169 bytes once it is an event.
fn llm_chunk() -> &'static str {
    concat!(
        r#"{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1700000000,"#,
        r#""model":"m-1","choices":[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}"#
    )
}

criterion_group!(format, encode, decode);
criterion_main!(format);
