//! The program from outside: the real binary in processes of its own, and real clients.
//!
//! | room | what it shows | what it needs beside cargo |
//! | --- | --- | --- |
//! | `delivery` | 1,000 subscribers get 1,000 events each, once, in order, over random cuts | a limit of 3,000 open files |
//! | `wire` | the rules for the bytes on the wire | `curl` |
//! | `topics` | several topics on one connection, resuming, gaps | |
//! | `ingest` | publishing, in one piece and as a stream that breaks | |
//! | `refusals` | what is answered to requests that cannot be served | |
//! | `tls` | protocols, certificates, and certificates that change | `openssl`, `curl` |
//! | `lifecycle` | configuration, bad use, logs, and the end | |
//! | `chat` | the demo's answers: left, read again, resumed | |
//! | `runs` | the life of a run: begun, fed, ended, listed, forgotten | |
//! | `readers` | reading a run from anywhere, late, and leaving it | |
//! | `push` | apps that feed a run: numbers, epochs, connections that break | |
//! | `relay` | the answers of an upstream, and its failures | |
//! | `messages` | the same in Anthropic's dialect, and the demo in it |
//! | `responses` | the same in the dialect of OpenAI's responses: found again, resumed, cancelled |
//! | `ai_sdk` | the AI SDK's chats: in a second tab, by number, stopped | |
//! | `langgraph` | LangGraph's threads and runs, resumed where a `Location` says | |
//! | `memory` | 10,000 runs open at once, and their readers | |
//! | `commands` | `wellspring publish`, `wellspring tail` and `wellspring run` | |
//! | `lab` | the model of a browser that `wellspring-load lab` has: six connections against one | |
//! | `browser` | the playground in Chromium and Firefox, on both ports; the lab's model against Chromium, and Firefox where it is | `node` 20, `npm`, Chromium (`CHROMIUM` names another than `/usr/bin/chromium`), and npm's registry the first time |
//!
//! What is missing fails its test with a line that says what to install. Around the tests: `process` is the binary,
//! `program` the binary as a server, `transport` and `stream` are its clients, `upstream` is a server behind it; other
//! people's clients are in `tests/clients`. Nothing sleeps for luck: everything waits for a state, with a deadline.

mod ai_sdk;
mod browser;
mod chat;
mod commands;
mod delivery;
mod ingest;
mod lab;
mod langgraph;
mod lifecycle;
mod memory;
mod messages;
mod process;
mod program;
mod push;
mod readers;
mod refusals;
mod relay;
mod responses;
mod runs;
mod stream;
mod tls;
mod topics;
mod transport;
mod upstream;
mod wire;
