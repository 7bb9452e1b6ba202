//! The pages, embedded in the program: the playground at `/`, the lab at `/lab`, and what they are made of.
//!
//! Plain HTML, CSS and ES modules, served as they are written: no build step, nothing from another host. They use what
//! any page could: `fetch`, `EventSource`, and the program's public routes.

/// A file of a page, with what its response needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// The `Content-Type`, with its charset.
    pub content_type: &'static str,
    /// The whole body.
    pub body: &'static [u8],
    /// A strong `ETag`, quotes included: the hash of `body` (RFC 9110 section 8.8.3). None for an HTML page: of one that
    /// a 304 has confirmed Chromium does not tell over which protocol it came, and the pages show that.
    pub etag: Option<&'static str>,
}

/// Headers of every page, beside its content type and tag.
///
/// The policy allows what comes from this origin as a file and nothing else: no inline script or style, no frame
/// around the page. `no-cache` is "ask each time": for what has a tag the answer is a 304 until the program changes.
pub(crate) const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
];

/// The page at a request's path, without its query: `/`, `/lab`, `/favicon.svg` and what lies under `/assets/`.
pub(crate) fn find(path: &str) -> Option<Page> {
    PAGES
        .iter()
        .find(|(at, _)| *at == path)
        .map(|(_, page)| *page)
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml; charset=utf-8";

macro_rules! html {
    ($file:literal) => {
        Page {
            content_type: HTML,
            body: include_bytes!(concat!("pages/", $file)),
            etag: None,
        }
    };
}

macro_rules! page {
    ($file:literal, $content_type:expr) => {{
        const BODY: &[u8] = include_bytes!(concat!("pages/", $file));
        const TAG: [u8; 18] = entity_tag(BODY);
        Page {
            content_type: $content_type,
            body: BODY,
            etag: Some(ascii(&TAG)),
        }
    }};
}

static PAGES: &[(&str, Page)] = &[
    ("/", html!("index.html")),
    ("/lab", html!("lab.html")),
    ("/favicon.svg", page!("favicon.svg", SVG)),
    ("/assets/style.css", page!("assets/style.css", CSS)),
    ("/assets/lab.css", page!("assets/lab.css", CSS)),
    ("/assets/theme.js", page!("assets/theme.js", JAVASCRIPT)),
    ("/assets/bar.js", page!("assets/bar.js", JAVASCRIPT)),
    ("/assets/lab.js", page!("assets/lab.js", JAVASCRIPT)),
    (
        "/assets/lab-stream.js",
        page!("assets/lab-stream.js", JAVASCRIPT),
    ),
    (
        "/assets/playground.js",
        page!("assets/playground.js", JAVASCRIPT),
    ),
    ("/assets/chat.js", page!("assets/chat.js", JAVASCRIPT)),
    (
        "/assets/conversation.js",
        page!("assets/conversation.js", JAVASCRIPT),
    ),
    ("/assets/runs.js", page!("assets/runs.js", JAVASCRIPT)),
    ("/assets/turn.js", page!("assets/turn.js", JAVASCRIPT)),
    (
        "/assets/turn-view.js",
        page!("assets/turn-view.js", JAVASCRIPT),
    ),
    (
        "/assets/typewriter.js",
        page!("assets/typewriter.js", JAVASCRIPT),
    ),
    ("/assets/events.js", page!("assets/events.js", JAVASCRIPT)),
    (
        "/assets/event-log.js",
        page!("assets/event-log.js", JAVASCRIPT),
    ),
    ("/assets/stream.js", page!("assets/stream.js", JAVASCRIPT)),
];

/// Sixteen hexadecimal digits of 64-bit FNV-1a in quotes: a tag has to change with the content, not to resist anyone.
const fn entity_tag(body: &[u8]) -> [u8; 18] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < body.len() {
        hash = (hash ^ body[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    let mut tag = [b'"'; 18];
    let mut digit = 0;
    while digit < 16 {
        tag[digit + 1] = b"0123456789abcdef"[(hash >> (60 - 4 * digit)) as usize & 0xf];
        digit += 1;
    }
    tag
}

const fn ascii(tag: &'static [u8; 18]) -> &'static str {
    match str::from_utf8(tag) {
        Ok(tag) => tag,
        Err(_) => panic!("hexadecimal digits are ASCII"),
    }
}

#[cfg(test)]
mod tests;
