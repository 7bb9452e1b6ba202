//! What the peer sends, on its way to the engine: flow control is taken out of it.
//!
//! The engine writes no DATA but the last of a stream, so its windows would only grow, until they overflow. Whatever is
//! wrong with a frame is left to the engine to judge: such a frame reaches it as it came.

use super::window::{Credit, INITIAL, LARGEST};

/// A frame's header (RFC 9113, section 4.1).
const HEAD: usize = 9;

/// A WINDOW_UPDATE's payload (RFC 9113, section 6.9).
const INCREMENT: usize = 4;

/// One of the SETTINGS (RFC 9113, section 6.5.1).
const SETTING: usize = 6;

/// How an HTTP/2 client begins (RFC 9113, section 3.4): 24 bytes before its first frame.
const PREFACE: usize = 24;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACKNOWLEDGED: u8 = 1;
const END_HEADERS: u8 = 4;
const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

/// Reads along, and takes out what grants room.
pub(super) struct Tap {
    state: State,
    credits: Vec<Credit>,
    /// The newest stream that the peer has opened.
    newest: u32,
    /// Whether the newest header block goes on, so that nothing but its rest may come (RFC 9113, section 4.3).
    in_block: bool,
    /// What the engine believes it may send on the connection: never less than it may in truth.
    belief: u32,
}

enum State {
    /// In a frame's header.
    Head(Held<HEAD>),
    /// In the WINDOW_UPDATE for this stream.
    Update(u32, Held<{ HEAD + INCREMENT }>),
    /// So many bytes before the next header; settings among them.
    Payload(u32, Option<Held<SETTING>>),
}

/// The beginning of something that takes `N` bytes.
#[derive(Clone, Copy)]
struct Held<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl Tap {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Payload(PREFACE as u32, None),
            credits: Vec::new(),
            newest: 0,
            in_block: false,
            belief: INITIAL,
        }
    }

    /// Adds to `output` what the engine is to read of `input`.
    pub(super) fn pass(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while !input.is_empty() {
            match &mut self.state {
                State::Head(held) => {
                    if let Some(head) = held.fill(&mut input) {
                        self.begin(&head, output);
                    }
                }
                State::Update(id, held) => {
                    let id = *id;
                    if let Some(update) = held.fill(&mut input) {
                        self.state = State::Head(Held::EMPTY);
                        self.update(id, update, output);
                    }
                }
                State::Payload(left, settings) => {
                    let (part, rest) = input.split_at(input.len().min(*left as usize));
                    input = rest;
                    *left -= part.len() as u32;
                    output.extend_from_slice(part);
                    if let Some(setting) = settings {
                        note_settings(setting, part, &mut self.credits);
                    }
                    if *left == 0 {
                        self.state = State::Head(Held::EMPTY);
                    }
                }
            }
        }
    }

    /// Adds to `credits` what the peer has granted since the last time, in order.
    pub(super) fn take_credits(&mut self, credits: &mut Vec<Credit>) {
        credits.append(&mut self.credits);
    }

    /// The engine sends so many bytes by itself, if it believes that it may; false when it does not.
    pub(super) fn spend(&mut self, bytes: u32) -> bool {
        match self.belief.checked_sub(bytes) {
            Some(left) => self.belief = left,
            None => return false,
        }
        true
    }

    /// The engine has not sent them after all.
    pub(super) fn refund(&mut self, bytes: u32) {
        self.belief = (self.belief + bytes).min(LARGEST);
    }

    fn begin(&mut self, head: &[u8; HEAD], output: &mut Vec<u8>) {
        let [l0, l1, l2, kind, flags, id @ ..] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        // The first bit is reserved (RFC 9113, section 4.1).
        let id = u32::from_be_bytes(id) & LARGEST;
        let may_open = id % 2 == 1;
        self.state = match kind {
            // One for a stream that is yet to be opened is a mistake (RFC 9113, section 5.1).
            WINDOW_UPDATE
                if length == 4 && !self.in_block && (id == 0 || may_open && id <= self.newest) =>
            {
                let mut held = Held::EMPTY;
                held.fill(&mut &head[..]);
                self.state = State::Update(id, held);
                return;
            }
            _ if length == 0 => State::Head(Held::EMPTY),
            SETTINGS if flags & ACKNOWLEDGED == 0 => State::Payload(length, Some(Held::EMPTY)),
            _ => State::Payload(length, None),
        };
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
            if may_open {
                self.newest = self.newest.max(id);
            }
        }
        output.extend_from_slice(head);
    }

    fn update(&mut self, id: u32, mut update: [u8; HEAD + INCREMENT], output: &mut Vec<u8>) {
        let increment = &mut update[HEAD..];
        let bytes = u32::from_be_bytes([increment[0], increment[1], increment[2], increment[3]]);
        match (id, bytes & LARGEST) {
            // A mistake.
            (_, 0) => output.extend_from_slice(&update),
            (0, bytes) => {
                self.credits.push(Credit::Connection(bytes));
                let told = bytes.min(LARGEST - self.belief);
                if told > 0 {
                    self.belief += told;
                    increment.copy_from_slice(&told.to_be_bytes());
                    output.extend_from_slice(&update);
                }
            }
            (id, bytes) => self.credits.push(Credit::Stream { id, bytes }),
        }
    }
}

fn note_settings(setting: &mut Held<SETTING>, mut part: &[u8], credits: &mut Vec<Credit>) {
    while let Some([i0, i1, value @ ..]) = setting.fill(&mut part) {
        *setting = Held::EMPTY;
        let value = u32::from_be_bytes(value);
        // A larger one is a mistake.
        if u16::from_be_bytes([i0, i1]) == SETTINGS_INITIAL_WINDOW_SIZE && value <= LARGEST {
            credits.push(Credit::Initial(value));
        }
    }
}

impl<const N: usize> Held<N> {
    const EMPTY: Self = Self {
        bytes: [0; N],
        length: 0,
    };

    /// Takes what is missing from the front of `input`, as far as that goes; all of it when it is complete.
    fn fill(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        let missing = (N - self.length).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.bytes[self.length..][..missing].copy_from_slice(taken);
        self.length += missing;
        *input = rest;
        (self.length == N).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn update(id: u32, bytes: u32) -> Vec<u8> {
        frame(WINDOW_UPDATE, 0, id, &bytes.to_be_bytes())
    }

    fn preface() -> Vec<u8> {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    }

    /// What passes, and what is granted, when all of it comes in pieces of so many bytes.
    fn tapped(frames: &[Vec<u8>], piece: usize) -> (Vec<u8>, Vec<Credit>) {
        let (mut tap, mut passed, mut credits) = (Tap::new(), Vec::new(), Vec::new());
        for piece in [vec![preface()], frames.to_vec()]
            .concat()
            .concat()
            .chunks(piece)
        {
            tap.pass(piece, &mut passed);
        }
        tap.take_credits(&mut credits);
        (passed.split_off(24), credits)
    }

    #[test]
    fn what_grants_room_is_taken_out_and_the_rest_passes_however_it_is_cut() {
        let initial = [&[0, 3, 0, 0, 0, 100, 0, 4][..], &70_000u32.to_be_bytes()].concat();
        let settings = frame(SETTINGS, 0, 0, &initial);
        let request = frame(HEADERS, 5, 1, b"\x82\x86\x84\x41\x01a");
        let data = frame(0, 0, 1, &[8; 300]);
        let answer = frame(SETTINGS, ACKNOWLEDGED, 0, &[]);
        let frames = [
            settings.clone(),
            request.clone(),
            update(1, 1_000),
            data.clone(),
            update(1, 17),
            answer.clone(),
        ];
        for piece in 1..=30 {
            let (passed, credits) = tapped(&frames, piece);
            assert_eq!(passed, [&settings[..], &request, &data, &answer].concat());
            let stream = |bytes| Credit::Stream { id: 1, bytes };
            let expected = [Credit::Initial(70_000), stream(1_000), stream(17)];
            assert_eq!(credits, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_engine_is_told_of_the_connections_window_as_far_as_it_can_count() {
        let room = LARGEST - INITIAL;
        let (passed, credits) = tapped(&[update(0, room - 5), update(0, 9), update(0, 9)], 7);
        assert_eq!(passed, [update(0, room - 5), update(0, 5)].concat());
        let granted = [room - 5, 9, 9].map(Credit::Connection);
        assert_eq!(credits, granted);
    }

    #[test]
    fn what_the_engine_sends_is_made_up_for() {
        let (mut tap, mut passed) = (Tap::new(), Vec::new());
        tap.pass(&preface(), &mut passed);
        assert!(!tap.spend(INITIAL + 1));
        assert!(tap.spend(INITIAL));
        assert!(!tap.spend(1));
        tap.refund(5);
        assert!(tap.spend(5));
        tap.pass(&update(0, 1), &mut passed);
        assert!(tap.spend(1));
    }

    #[test]
    fn mistakes_are_left_to_the_engine() {
        let mistakes = [
            update(0, 0),
            // A stream that nobody has opened, and one that nobody can.
            update(1, 5),
            update(2, 5),
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            frame(WINDOW_UPDATE, 0, 0, &[0; 5]),
            frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            [frame(HEADERS, 1, 1, b"\x82"), update(1, 5)].concat(),
        ];
        for mistake in mistakes {
            let (passed, credits) = tapped(std::slice::from_ref(&mistake), 4);
            assert_eq!((passed, credits), (mistake, vec![]));
        }
    }
}
