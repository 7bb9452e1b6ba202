use super::*;

const SEEDS: std::ops::Range<u64> = 0..200;

fn text(answer: Answer) -> String {
    answer.map(|token| token.text).collect()
}

/// What comes after the notice and its empty line.
fn prose(answer: Answer) -> String {
    let text = text(answer);
    text.strip_prefix(NOTICE)
        .expect("the notice comes first")
        .trim_start()
        .to_owned()
}

#[test]
fn every_answer_says_first_that_it_is_no_language_model_and_how_to_name_one() {
    for seed in SEEDS {
        let text = text(Answer::new("hello", None, seed));
        assert!(
            text.starts_with("This is a built-in Markov chain, not a language model"),
            "{text}"
        );
        assert!(text.contains("--upstream URL."), "{text}");
    }
}

#[test]
fn joined_tokens_are_clean_prose() {
    for seed in SEEDS {
        let text = text(Answer::new("Tell me about rivers", Some(800), seed));
        for wrong in ["  ", " .", " ,", "..", " \n", "\n ", "\n\n\n", "\t", ",\n"] {
            assert!(!text.contains(wrong), "{wrong:?} in {text}");
        }
        for paragraph in text.split("\n\n") {
            assert!(
                paragraph.starts_with(|first: char| first.is_ascii_uppercase()),
                "{paragraph}"
            );
            assert!(paragraph.ends_with(['.', '?', '!']), "{paragraph}");
        }
        for three in text
            .as_bytes()
            .windows(3)
            .filter(|pair| pair[0] == b'.' && pair[1] == b' ')
        {
            assert!(three[2].is_ascii_uppercase(), "{text}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_tokens_and_pauses_and_another_seed_others() {
    let answer = |seed| Answer::new("a well", None, seed).collect::<Vec<_>>();
    assert_eq!(answer(7), answer(7));
    assert_ne!(answer(7), answer(8));
}

#[test]
fn answers_differ_from_the_text_they_are_made_of() {
    let source = include_str!("spring.txt");
    let answer = prose(Answer::new("", Some(MAX_TOKENS), 1));
    let sentences: Vec<&str> = answer
        .split_inclusive(['.', '?', '!'])
        .map(str::trim)
        .collect();
    let own = sentences
        .iter()
        .filter(|sentence| !source.contains(**sentence))
        .count();
    assert!(
        own * 2 > sentences.len(),
        "{own} of {} sentences are new",
        sentences.len()
    );
}

#[test]
fn without_a_wish_an_answer_has_some_120_to_200_tokens() {
    for seed in SEEDS {
        let length = Answer::new("hello", None, seed).count();
        assert!((100..=200).contains(&length), "{length} tokens");
    }
}

#[test]
fn a_wish_bounds_the_answer_and_is_nearly_reached() {
    for seed in SEEDS {
        for wish in [60, 150, 1_000] {
            let length = Answer::new("hello", Some(wish), seed).count();
            assert!(
                (wish as usize - 25..=wish as usize).contains(&length),
                "{length} of {wish} tokens"
            );
        }
    }
    let endless = Answer::new("hello", Some(u32::MAX), 3).count();
    assert!((4_070..=4_096).contains(&endless), "{endless} tokens");
}

#[test]
fn an_answer_ends_with_a_sentence_unless_its_bound_cuts_the_notice() {
    for wish in 0..200 {
        let mut answer = Answer::new("hello", Some(wish), 5);
        let text: String = answer.by_ref().map(|token| token.text).collect();
        let whole = text.ends_with(['.', '?', '!']);
        assert_eq!(
            answer.finish_reason() == FinishReason::Stop,
            whole,
            "{wish}: {text}"
        );
        assert_eq!(whole, text.starts_with(NOTICE), "{wish}: {text}");
        if !whole {
            assert!(NOTICE.starts_with(&text), "{wish}: {text}");
        }
    }
    assert_eq!(FinishReason::Length.as_str(), "length");
}

#[test]
fn a_prompt_decides_where_the_answer_starts() {
    for (prompt, start) in [
        ("What is PATIENCE, please?", "Patience "),
        ("Tell me about the \"gardener\"!", "Gardener "),
        ("a pond or a spring", "A spring "),
    ] {
        let answers = SEEDS
            .filter(|seed| prose(Answer::new(prompt, None, *seed)).starts_with(start))
            .count();
        assert_eq!(answers, 200, "{prompt}");
    }
}

#[test]
fn a_thought_says_how_the_answer_starts() {
    let thought = |prompt| {
        Thinking::new(prompt, 1)
            .map(|token| token.text)
            .collect::<String>()
    };
    for (prompt, start) in [
        ("a pond or a spring", "A spring"),
        ("PATIENCE!", "Patience"),
    ] {
        assert!(
            thought(prompt).starts_with(&format!("\"{start}\" is")),
            "{}",
            thought(prompt)
        );
        assert!(prose(Answer::new(prompt, None, 1)).starts_with(start));
    }
    for prompt in ["", "日本語 🙂"] {
        assert!(thought(prompt).starts_with("I know none"), "{prompt}");
    }
}

#[test]
fn strange_prompts_are_answered_like_any_other() {
    let huge = "spring ".repeat(300_000);
    let letters = "x".repeat(2_000_000);
    for prompt in [
        "",
        " ",
        "\0",
        "\u{feff}",
        "日本語 🙂",
        "...",
        "é",
        "-",
        &huge,
        &letters,
    ] {
        assert!(Answer::new(prompt, None, 1).count() >= 100);
    }
}

#[test]
fn tokens_look_and_tick_like_a_models() {
    let tokens: Vec<Token> = Answer::new("hello", Some(2_000), 11).collect();
    assert!(
        (250..350).contains(&tokens[0].pause.as_millis()),
        "{:?}",
        tokens[0]
    );
    for pair in tokens.windows(2) {
        let characters = pair[1].text.chars().count();
        assert!((1..=8).contains(&characters), "{:?}", pair[1]);
        let typing = if pair[0].text.ends_with(['.', '?', '!']) {
            120..=240
        } else {
            20..=45
        };
        assert!(typing.contains(&pair[1].pause.as_millis()), "{pair:?}");
    }
    let continued = tokens
        .iter()
        .filter(|token| token.text.starts_with(char::is_alphabetic))
        .count();
    assert!(continued > 50, "{continued} of the tokens continue a word");
}
