//! The lab's command: what it says when there is nothing to experiment with.

use crate::command::{text, wellspring_load};

#[tokio::test]
async fn without_a_server_it_says_what_to_do() {
    for (arguments, word) in [
        (&["lab", "--program", "/nowhere/wellspring"][..], "--url"),
        (&["lab", "--program", "/bin/false"], "it ended with"),
        (
            &["lab", "--url", "localhost:8080"],
            "neither http: nor https:",
        ),
        (&["lab", "--url", "https://localhost:1"], "--cacert"),
        (
            &["lab", "--url", "http://127.0.0.1:1"],
            "is the server running",
        ),
        (&["lab", "--tabs", "9..3"], "FROM..TO"),
        (&["lab", "--users", "0"], "above zero"),
    ] {
        let output = wellspring_load(arguments).await;
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(word), "{arguments:?}: {err}");
    }
}
