//! The clients that people have, unmodified, against the program and a model's server behind it.
//!
//! | room | what it shows | what it needs beside cargo |
//! | --- | --- | --- |
//! | `stub` | our model's server is one: official packages read it as they read the real ones | Python, Node |
//! | `openai_demo` | what a first try with OpenAI's package meets: no model's server but the built-in demo | Python |
//! | `matrix` | every client gets the whole answer through cut connections, and the model is asked once | Python, Node, Chromium |
//! | `truncated` | no client takes a part of an answer for the whole | Python, Node, Chromium |
//! | `faults` | what becomes of an answer when the model's server fails, in every dialect | |
//! | `cancel` | who wants no more stops the model's server, and who leaves does where that is wanted | |
//!
//! Python is `python3` with `venv` and `pip`, Node is `node` 20 and `npm`, and PyPI and npm's registry are needed the
//! first time; what is missing fails its tests. Around the tests: `upstream` is the model's server, `proxy` the network
//! that cuts, `packages` installs the clients and runs the scripts of `python/` and `node/`, `stage` puts them together.

mod cancel;
mod dialect;
mod faults;
mod matrix;
mod openai_demo;
mod packages;
#[allow(dead_code, reason = "the suite uses the rest of it")]
#[path = "../suite/process.rs"]
mod process;
#[allow(dead_code, reason = "the suite uses the rest of it")]
#[path = "../suite/program.rs"]
mod program;
mod proxy;
mod stage;
#[allow(dead_code, reason = "the suite uses the rest of it")]
#[path = "../suite/stream.rs"]
mod stream;
mod stub;
#[allow(dead_code, reason = "the suite uses the rest of it")]
#[path = "../suite/transport.rs"]
mod transport;
mod truncated;
mod upstream;
