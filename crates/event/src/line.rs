//! Bytes to field values: line ends, the byte-order mark, names, colons, the one leading space.

use memchr::memchr2;

/// What a line of the stream says, as far as the bytes seen so far tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'i> {
    /// A blank line: the block ends.
    Blank,
    /// A field's value or, where the input ends inside of it, the next part of one.
    Value {
        field: Field,
        bytes: &'i [u8],
        /// The first part of its value.
        starts: bool,
        /// The last part of its value: the line is complete.
        ends: bool,
    },
}

/// The fields that mean something (WHATWG HTML 9.2.6, "process the field").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Data,
    Event,
    Id,
    Retry,
}

/// Cuts a byte stream into [`Token`]s, in whatever chunks it comes.
///
/// Comments and unknown fields are passed over without keeping any of them, and of a line that a
/// chunk border cuts at most its name is kept: the memory is these few bytes, however long a line.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    edge: Edge,
    line: Line,
}

/// What may have to be dropped before the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// The rest of a byte-order mark, of which so many bytes were seen: the stream starts here.
    Start { matched: usize },
    /// An LF: the byte before was a CR, which has ended its line already.
    AfterCr,
    /// Nothing.
    Inside,
}

/// Where in a line the next byte stands.
#[derive(Debug, Clone, Copy)]
enum Line {
    /// In the name, of which `held[..len]` came in earlier chunks; at the line's start none.
    Name {
        held: [u8; LONGEST_NAME],
        len: usize,
    },
    /// In the value of a field that means something; before its first byte when `starts`.
    Value { field: Field, starts: bool },
    /// In a comment or an unknown field.
    Ignored,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Of `event` and `retry`.
const LONGEST_NAME: usize = 5;
const LINE_START: Line = Line::Name {
    held: [0; LONGEST_NAME],
    len: 0,
};

impl Tokens {
    /// At the start of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            edge: Edge::Start { matched: 0 },
            line: LINE_START,
        }
    }

    /// Takes bytes from the front of `input` up to the next token; `None` once it is empty.
    #[inline]
    pub(crate) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Option<Token<'i>> {
        if self.edge != Edge::Inside {
            self.pass_edge(input);
        }
        while let Some(&first) = input.first() {
            // Before the search: every event ends in a blank line, most of them in LF.
            let (bytes, ends) = if first == b'\n' {
                *input = &input[1..];
                (&[][..], true)
            } else {
                self.cut(input)
            };
            let token = match self.line {
                Line::Name { len: 0, .. } if ends => whole(bytes),
                _ => self.part(bytes, ends),
            };
            if token.is_some() {
                return token;
            }
        }
        None
    }

    /// Takes the rest of the line, or of the input, and its line end from the front of `input`.
    #[inline]
    fn cut<'i>(&mut self, input: &mut &'i [u8]) -> (&'i [u8], bool) {
        let all = *input;
        let Some(end) = memchr2(b'\r', b'\n', all) else {
            *input = &[];
            return (all, false);
        };
        let mut after = end + 1;
        if all[end] == b'\r' {
            match all.get(after) {
                Some(b'\n') => after += 1,
                Some(_) => {}
                None => self.edge = Edge::AfterCr,
            }
        }
        *input = &all[after..];
        (&all[..end], true)
    }

    /// Drops what the edge before the next byte allows to be dropped.
    #[cold]
    fn pass_edge(&mut self, input: &mut &[u8]) {
        if self.edge == Edge::AfterCr
            && let Some(&first) = input.first()
        {
            self.edge = Edge::Inside;
            if first == b'\n' {
                *input = &input[1..];
            }
        }
        while let Edge::Start { matched } = self.edge
            && let Some((&first, rest)) = input.split_first()
        {
            if first != BYTE_ORDER_MARK[matched] {
                self.edge = Edge::Inside;
                // What looked like a mark belongs to the line, and no field's name starts so.
                if matched > 0 {
                    self.line = Line::Ignored;
                }
            } else {
                *input = rest;
                self.edge = match matched + 1 {
                    all if all == BYTE_ORDER_MARK.len() => Edge::Inside,
                    matched => Edge::Start { matched },
                };
            }
        }
    }

    /// Reads on in a line that the input's start or end cuts.
    fn part<'i>(&mut self, mut bytes: &'i [u8], ends: bool) -> Option<Token<'i>> {
        if let Line::Name { held, len } = &mut self.line {
            let mut name_ends = false;
            while !name_ends && let Some((&byte, rest)) = bytes.split_first() {
                if byte == b':' {
                    name_ends = true;
                } else if *len < LONGEST_NAME {
                    held[*len] = byte;
                    *len += 1;
                } else {
                    // Longer than any name that means something.
                    self.line = if ends { LINE_START } else { Line::Ignored };
                    return None;
                }
                bytes = rest;
            }
            if !name_ends && !ends {
                return None;
            }
            if !name_ends && *len == 0 {
                return Some(Token::Blank);
            }
            self.line = match Field::named(&held[..*len]) {
                Some(field) => Line::Value {
                    field,
                    starts: true,
                },
                None => Line::Ignored,
            };
        }
        let token = match self.line {
            // Whether its first byte is a space to be dropped is not known yet.
            Line::Value { starts: true, .. } if bytes.is_empty() && !ends => None,
            Line::Value { field, starts } => {
                if starts {
                    bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
                }
                self.line = Line::Value {
                    field,
                    starts: false,
                };
                Some(Token::Value {
                    field,
                    bytes,
                    starts,
                    ends,
                })
            }
            Line::Name { .. } | Line::Ignored => None,
        };
        if ends {
            self.line = LINE_START;
        }
        token
    }
}

impl Field {
    /// By the name to the letter: names are not folded in case.
    #[inline]
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"data" => Some(Self::Data),
            b"id" => Some(Self::Id),
            b"event" => Some(Self::Event),
            b"retry" => Some(Self::Retry),
            _ => None,
        }
    }
}

/// Reads a line that lies whole in the input.
#[inline]
fn whole(line: &[u8]) -> Option<Token<'_>> {
    let (field, value) = match line {
        [] => return Some(Token::Blank),
        [b'd', b'a', b't', b'a', b':', value @ ..] => (Field::Data, value),
        [b'i', b'd', b':', value @ ..] => (Field::Id, value),
        [b'e', b'v', b'e', b'n', b't', b':', value @ ..] => (Field::Event, value),
        [b'r', b'e', b't', b'r', b'y', b':', value @ ..] => (Field::Retry, value),
        // A field without colon has the line for its name and an empty value; a comment, or an
        // unknown name with whatever after it, is none of the four.
        name => (Field::named(name)?, &[][..]),
    };
    let bytes = value.strip_prefix(b" ").unwrap_or(value);
    Some(Token::Value {
        field,
        bytes,
        starts: true,
        ends: true,
    })
}
