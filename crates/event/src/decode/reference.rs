//! The standard's decoder as its sentences stand, over the whole stream at once: slow, without a
//! limit, and easy to check by eye. What the real one says is held against it.

/// What a stream says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Type, data and last event id of each event dispatched.
    pub(crate) events: Vec<(String, String, String)>,
    /// The last event id string at the end.
    pub(crate) last_event_id: String,
    /// The reconnection time at the end, in milliseconds.
    pub(crate) retry: Option<u64>,
}

/// Reads `stream` (WHATWG HTML 9.2.5 and 9.2.6).
pub(crate) fn read(stream: &[u8]) -> Reading {
    // "Streams must be decoded using the UTF-8 decode algorithm", which strips one leading mark.
    let text = String::from_utf8_lossy(stream);
    let mut text = text.strip_prefix('\u{feff}').unwrap_or(&text);

    let mut reading = Reading::default();
    let (mut data, mut event_type, mut id) = (String::new(), String::new(), String::new());
    // What is after the last line end is an unfinished line, and so of an unfinished block.
    while let Some(end) = text.find(['\r', '\n']) {
        let line = &text[..end];
        let rest = &text[end..];
        text = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);

        if line.is_empty() {
            reading.last_event_id.clone_from(&id);
            if data.pop().is_some() {
                let named = if event_type.is_empty() {
                    "message"
                } else {
                    &event_type
                };
                reading
                    .events
                    .push((named.to_owned(), data.clone(), id.clone()));
            }
            data.clear();
            event_type.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut event_type),
            "data" => data.extend([value, "\n"]),
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                reading.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    reading
}
