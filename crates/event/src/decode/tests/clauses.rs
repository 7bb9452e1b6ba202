//! WHATWG HTML, by clause.

use super::*;

/// 9.2.5 Parsing an event stream.
mod parsing {
    use super::*;

    #[test]
    fn lines_end_in_crlf_lf_or_cr() {
        assert_eq!(
            data("data:a\r\n\r\ndata:b\n\ndata:c\r\rdata:d\r\n\n"),
            ["a", "b", "c", "d"]
        );
    }

    #[test]
    fn a_cr_ends_the_event_at_once() {
        let mut decoder = Decoder::new();
        let mut input = &b"data: x\r\r"[..];
        assert_eq!(decoder.decode(&mut input).unwrap().unwrap().data(), "x");
    }

    #[test]
    fn an_lf_after_a_cr_is_the_same_line_end_also_in_the_next_chunk() {
        let outcome = decode_chunks(
            Decoder::new(),
            [&b"data: a\r"[..], b"\ndata: b\r\n\r", b"\n"],
        );
        assert_eq!(outcome.events, [Ok(event("message", "a\nb", ""))]);
    }

    #[test]
    fn one_leading_byte_order_mark_is_ignored() {
        assert_eq!(data("\u{feff}data: a\n\n"), ["a"]);
    }

    #[test]
    fn a_second_byte_order_mark_is_part_of_the_field_name() {
        assert_eq!(data("\u{feff}\u{feff}data: a\n\ndata: b\n\n"), ["b"]);
    }

    #[test]
    fn a_byte_order_mark_elsewhere_is_text() {
        assert_eq!(
            data("\n\u{feff}data: a\n\ndata: \u{feff}\n\n"),
            ["\u{feff}"]
        );
    }

    #[test]
    fn half_a_byte_order_mark_is_part_of_the_field_name() {
        assert_eq!(data(b"\xef\xbbdata: a\n\ndata: b\n\n"), ["b"]);
        assert_eq!(data(b"\xef\ndata: b\n\n"), ["b"]);
    }

    #[test]
    fn ill_formed_utf_8_becomes_replacement_characters() {
        // The Encoding standard: one for each maximal part of an ill-formed sequence.
        assert_eq!(data(b"data: a\xffb\n\n"), ["a\u{fffd}b"]);
        assert_eq!(data(b"data: \xf0\x9f\x98\n\n"), ["\u{fffd}"]);
        assert_eq!(
            data(b"data: \xed\xa0\x80\n\n"),
            ["\u{fffd}\u{fffd}\u{fffd}"]
        );
        assert_eq!(
            data(b"data: \xe2\x82\ndata: \xac\n\n"),
            ["\u{fffd}\n\u{fffd}"]
        );
        let outcome = decode(b"event: \xc3\nid: \xc3\ndata\n\n");
        assert_eq!(outcome.events, [Ok(event("\u{fffd}", "", "\u{fffd}"))]);
    }

    #[test]
    fn a_message_tells_whether_it_was_repaired() {
        let mut decoder = Decoder::new();
        let mut input = &b"data: \xff\n\nevent: \xff\ndata\n\ndata: \xef\xbf\xbd\n\n"[..];
        for repaired in [true, true, false] {
            assert_eq!(
                decoder.decode(&mut input).unwrap().unwrap().is_repaired(),
                repaired
            );
        }
    }
}

/// 9.2.6 Interpreting an event stream: the lines.
mod fields {
    use super::*;

    #[test]
    fn a_line_that_starts_with_a_colon_is_ignored() {
        assert_eq!(data(":\n: data: no\n:data: no\ndata: a\n: \n\n"), ["a"]);
    }

    #[test]
    fn a_single_space_after_the_colon_is_removed() {
        assert_eq!(
            data("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n"),
            ["a", "a", " a", "\ta"]
        );
    }

    #[test]
    fn further_colons_belong_to_the_value() {
        assert_eq!(data("data: a: b:\n\ndata::\n\n"), ["a: b:", ":"]);
    }

    #[test]
    fn a_line_without_colon_is_a_field_with_an_empty_value() {
        assert_eq!(data("data\n\ndata\ndata\n\n"), ["", "\n"]);
        assert_eq!(
            events("event: a\nevent\ndata\n\n"),
            [event("message", "", "")]
        );
        assert_eq!(
            events("id: 1\ndata\n\nid\ndata\n\n")[1],
            event("message", "", "")
        );
    }

    #[test]
    fn field_names_are_literal() {
        let stream = "Data: a\n data: a\ndata : a\ndat: a\ndatab: a\nevents: a\nretrying: 1\n\n";
        assert_eq!(decode(stream), decode(""));
    }

    #[test]
    fn the_last_event_field_of_a_block_is_its_type() {
        assert_eq!(
            events("event: a\nevent: b\ndata: x\n\n"),
            [event("b", "x", "")]
        );
    }

    #[test]
    fn data_lines_are_joined_with_lf() {
        assert_eq!(
            data("data: a\nid: 1\ndata:\n: comment\ndata: b\n\n"),
            ["a\n\nb"]
        );
    }

    #[test]
    fn an_id_with_nul_is_ignored() {
        let stream = "id: 1\nid: 2\0\ndata: x\n\nid: \0\ndata: y\n\n";
        assert_eq!(
            events(stream),
            [event("message", "x", "1"), event("message", "y", "1")]
        );
    }

    #[test]
    fn an_empty_id_resets_the_last_event_id() {
        let outcome = decode("id: 1\ndata\n\nid:\ndata\n\n");
        assert_eq!(outcome.events[1], Ok(event("message", "", "")));
        assert_eq!(outcome.last_event_id, "");
    }

    #[test]
    fn retry_of_ascii_digits_sets_the_reconnection_time() {
        for (line, milliseconds) in [("retry: 1500", 1_500), ("retry:0", 0), ("retry: 007", 7)] {
            let retry = decode(format!("{line}\n")).retry;
            assert_eq!(retry, Some(Duration::from_millis(milliseconds)), "{line}");
        }
    }

    #[test]
    fn retry_of_anything_else_is_ignored() {
        for line in [
            "retry",
            "retry:",
            "retry: ",
            "retry: +5",
            "retry: -5",
            "retry: 1.5",
            "retry: 5 ",
            "retry:  5",
            "retry: ٣",
            "retry: 5x",
            "retry: 0x5",
        ] {
            let retry = decode(format!("retry: 9\n{line}\n")).retry;
            assert_eq!(retry, Some(Duration::from_millis(9)), "{line}");
        }
    }

    #[test]
    fn retry_beyond_64_bits_is_the_longest_time() {
        let retry = decode("retry: 18446744073709551616\n").retry;
        assert_eq!(retry, Some(Duration::from_millis(u64::MAX)));
    }

    #[test]
    fn retry_counts_once_its_line_is_complete_without_a_blank_line_or_data() {
        assert_eq!(decode("retry: 5").retry, None);
        assert_eq!(decode("retry: 5\n").retry, Some(Duration::from_millis(5)));
    }
}

/// 9.2.6 Interpreting an event stream: "dispatch the event".
mod dispatch {
    use super::*;

    #[test]
    fn the_type_is_message_unless_named() {
        let stream = "data: a\n\nevent: tick\ndata: b\n\ndata: c\n\nevent:\ndata: d\n\n";
        let types: Vec<_> = events(stream)
            .into_iter()
            .map(|(event_type, ..)| event_type)
            .collect();
        assert_eq!(types, ["message", "tick", "message", "message"]);
    }

    #[test]
    fn a_block_without_data_is_no_event() {
        assert_eq!(
            decode("event: a\n\n\n\n: c\n\nid: 1\nfoo: bar\n\n").events,
            []
        );
    }

    #[test]
    fn the_type_of_a_block_without_data_is_forgotten() {
        assert_eq!(
            events("event: a\n\ndata: x\n\n"),
            [event("message", "x", "")]
        );
    }

    #[test]
    fn a_block_with_empty_data_is_an_event() {
        assert_eq!(data("data:\n\ndata: \n\n"), ["", ""]);
    }

    #[test]
    fn the_last_event_id_persists_until_the_next_id() {
        let stream = "id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n";
        let ids: Vec<_> = events(stream).into_iter().map(|(.., id)| id).collect();
        assert_eq!(ids, ["1", "1", "2"]);
    }

    #[test]
    fn the_id_of_a_block_without_data_counts() {
        let outcome = decode("id: 1\n\ndata: a\n\n");
        assert_eq!(outcome.events, [Ok(event("message", "a", "1"))]);
        assert_eq!(outcome.last_event_id, "1");
    }

    #[test]
    fn an_unfinished_block_is_discarded_with_its_id() {
        let outcome = decode("id: 1\ndata: a\n\nid: 2\ndata: b\n");
        assert_eq!(outcome.events, [Ok(event("message", "a", "1"))]);
        assert_eq!(outcome.last_event_id, "1");
    }

    #[test]
    fn the_standards_own_examples() {
        assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
        let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n\
                      data:  third event\n\n";
        let expected = [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", ""),
        ];
        assert_eq!(events(stream), expected);
        assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
        assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
    }
}

/// 9.2.3: reestablishing the connection.
mod reconnection {
    use super::*;

    #[test]
    fn reset_discards_what_is_unfinished_and_keeps_id_and_retry() {
        for unfinished in [
            "id: 2\nevent: t\ndata: b\n",
            "id: 2\nda",
            "data: b\r",
            "id: 2",
            "id",
            "\u{feff}",
        ] {
            let mut decoder = Decoder::new();
            let first = ["id: 1\nretry: 7\ndata: a\n\n", unfinished].concat();
            let mut input = first.as_bytes();
            while decoder.decode(&mut input).unwrap().is_some() {}
            decoder.reset();
            let outcome = decode_chunks(decoder, [&b"\xef\xbb\xbfdata: c\n\n"[..]]);
            assert_eq!(
                outcome.events,
                [Ok(event("message", "c", "1"))],
                "{unfinished}"
            );
            assert_eq!(outcome.retry, Some(Duration::from_millis(7)));
        }
    }

    #[test]
    fn an_lf_at_the_start_of_the_next_stream_is_a_blank_line_of_its_own() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&mut &b"data: a\r"[..]), Ok(None));
        decoder.reset();
        let outcome = decode_chunks(decoder, [&b"\ndata: b\n\n"[..]]);
        assert_eq!(outcome.events, [Ok(event("message", "b", ""))]);
    }

    #[test]
    fn a_last_event_id_that_was_set_persists_over_events_without_id() {
        let mut decoder = Decoder::new();
        decoder.set_last_event_id(EventId::new("42").unwrap());
        assert_eq!(decoder.last_event_id(), "42");
        let outcome = decode_chunks(decoder, [&b"data: a\n\n"[..]]);
        assert_eq!(outcome.events, [Ok(event("message", "a", "42"))]);
    }
}
