use super::*;

fn file(text: &str) -> Result<Options, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    read(file.path())
}

#[test]
fn the_defaults_are_loopback() {
    let config = Config::new(Options::default()).unwrap();
    assert_eq!(config.https, "127.0.0.1:8443".parse().unwrap());
    assert_eq!(config.http, "127.0.0.1:8080".parse().unwrap());
    assert!(config.upstreams.all.is_empty());
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let flags = Options {
        http: Some(Listen::Off),
        ..Options::default()
    };
    let file = file("http = \"127.0.0.1:1\"\nhttps = \"127.0.0.1:2\"\ndrain = \"2s\"\n").unwrap();
    let config = Config::new(flags.or(file)).unwrap();
    assert_eq!(config.http, Listen::Off);
    assert_eq!(config.https, "127.0.0.1:2".parse().unwrap());
    assert_eq!(config.drain, Duration::from_secs(2));
    assert_eq!(config.heartbeat, Duration::from_secs(10));
}

#[test]
fn what_is_wrong_in_a_file_is_one_line_that_names_key_and_line() {
    for (text, line, named) in [
        ("http = \"off\"\nhtps = \"off\"\n", 2, "htps"),
        ("\n\nhttp = \"nowhere\"\n", 3, "nowhere"),
        ("drain = 5\n", 1, "5"),
        ("http = \n", 1, ""),
    ] {
        let error = file(text).unwrap_err().to_string();
        assert!(error.contains(&format!(":{line}: ")), "{error}");
        assert!(error.contains(named) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn half_a_certificate_and_nothing_to_serve_are_refused() {
    let half = Options {
        cert: Some("a".into()),
        ..Options::default()
    };
    assert!(matches!(
        Config::new(half),
        Err(ConfigError::HalfCertificate)
    ));
    let nothing = Options {
        http: Some(Listen::Off),
        https: Some(Listen::Off),
        ..Options::default()
    };
    assert!(matches!(
        Config::new(nothing),
        Err(ConfigError::NothingServed)
    ));
}

#[test]
fn times_are_read_as_people_write_them() {
    let span = |text: &str| text.parse::<Span>().map(|span| span.0);
    assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(span("15m"), Ok(Duration::from_secs(900)));
    for wrong in [
        "",
        "10",
        "s",
        "0s",
        "-1s",
        "1.5s",
        "99999999999999999999s",
        "1 h",
    ] {
        assert!(span(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_key_never_shows() {
    let secret = Secret::new(" sk-123\n").unwrap();
    assert_eq!(secret.expose(), "sk-123");
    assert_eq!(format!("{secret:?}"), "***");
    assert!(Secret::new("a b").is_err());
}
