use std::collections::BTreeSet;

use super::*;

fn text(page: &Page) -> &'static str {
    str::from_utf8(page.body).expect("pages are UTF-8")
}

fn pages_of(content_type: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES
        .iter()
        .filter(move |(_, page)| page.content_type == content_type)
        .map(|(path, page)| (*path, text(page)))
}

/// What stands between each `before` and the `after` that follows it.
fn between<'a>(text: &'a str, before: &'a str, after: char) -> impl Iterator<Item = &'a str> {
    text.split(before)
        .skip(1)
        .filter_map(move |rest| Some(rest.split_once(after)?.0))
}

/// The paths that a file names: links and sources in HTML, imports in modules, `url()` in style sheets.
fn references(path: &str, text: &str) -> Vec<String> {
    let mut found: Vec<&str> = Vec::new();
    if find(path).is_some_and(|page| page.content_type == HTML) {
        found.extend(between(text, " href=\"", '"').chain(between(text, " src=\"", '"')));
        found.retain(|reference| !reference.starts_with('#'));
    } else {
        found.extend(between(text, "from '", '\'').chain(between(text, "import('", '\'')));
        found.extend(between(text, "url(", ')').chain(between(text, "@import \"", '"')));
    }
    found
        .into_iter()
        .map(|reference| reference.replacen("./", "/assets/", 1))
        .collect()
}

#[test]
fn every_file_that_a_page_names_exists_and_every_file_is_named() {
    let mut named = BTreeSet::from(["/".to_owned()]);
    for (path, page) in PAGES {
        for reference in references(path, text(page)) {
            assert!(find(&reference).is_some(), "{path} names {reference}");
            named.insert(reference);
        }
    }
    let embedded: BTreeSet<String> = PAGES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(named, embedded);
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/assets");
    for file in std::fs::read_dir(folder).expect("the folder is there") {
        let name = file
            .expect("it can be listed")
            .file_name()
            .into_string()
            .expect("its names are ASCII");
        assert!(
            find(&format!("/assets/{name}")).is_some(),
            "{name} is not embedded"
        );
    }
}

#[test]
fn nothing_is_inline_that_the_policy_would_refuse() {
    let policy = HEADERS
        .iter()
        .find(|(name, _)| *name == "content-security-policy")
        .expect("there is a policy")
        .1;
    assert!(
        policy.starts_with("default-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    for (path, html) in pages_of(HTML).chain(pages_of(SVG)) {
        for tag in between(html, "<script", '>') {
            assert!(tag.contains(" src="), "an inline script in {path}");
        }
        for tag in between(html, "<", '>') {
            assert!(!tag.starts_with("style"), "an inline style sheet in {path}");
            for attribute in tag.split_ascii_whitespace().skip(1) {
                let name = attribute
                    .split('=')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let is_handler = name.starts_with("on") && attribute.contains('=');
                assert!(name != "style" && !is_handler, "{attribute} in {path}");
            }
        }
        assert!(!html.contains("javascript:"), "{path}");
    }
}

#[test]
fn nothing_comes_from_another_host() {
    for (path, page) in PAGES {
        let foreign: Vec<&str> = text(page)
            .split_inclusive("://")
            .filter(|part| part.ends_with("http://") || part.ends_with("https://"))
            .collect();
        // The name of the SVG namespace is an address that nobody fetches.
        let allowed = usize::from(*path == "/favicon.svg");
        assert_eq!(foreign.len(), allowed, "{path}: {foreign:?}");
        assert!(
            !text(page).contains("=\"//") && !text(page).contains("'//"),
            "{path}"
        );
    }
}

#[test]
fn scripts_never_build_markup_or_code_from_text() {
    for (path, script) in pages_of(JAVASCRIPT) {
        for wrong in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ] {
            assert!(!script.contains(wrong), "{wrong} in {path}");
        }
    }
}

#[test]
fn content_types_fit_the_names() {
    for (path, page) in PAGES {
        let expected = match path.rsplit_once('.').map(|(_, extension)| extension) {
            None => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml; charset=utf-8",
            Some(other) => panic!("{path}: {other} has no type"),
        };
        assert_eq!(page.content_type, expected, "{path}");
    }
}

#[test]
fn tags_are_quoted_and_differ_with_the_body() {
    let files = || PAGES.iter().filter(|(_, page)| page.content_type != HTML);
    let tags: BTreeSet<&str> = files().filter_map(|(_, page)| page.etag).collect();
    assert_eq!(tags.len(), files().count());
    for tag in tags {
        assert!(
            tag.len() == 18 && tag.starts_with('"') && tag.ends_with('"'),
            "{tag}"
        );
    }
    // The published FNV-1a vector for "foobar".
    assert_eq!(&entity_tag(b"foobar"), b"\"85944171f73967e8\"");
}

#[test]
fn every_control_of_the_page_has_a_name() {
    let mut ids = BTreeSet::new();
    for (path, html) in pages_of(HTML) {
        for tag in between(html, "<input", '>').chain(between(html, "<textarea", '>')) {
            let id = between(tag, " id=\"", '"')
                .next()
                .expect("controls have ids");
            assert!(html.contains(&format!("for=\"{id}\"")), "{id} has no label");
        }
        let mut own = BTreeSet::new();
        for id in between(html, " id=\"", '"') {
            assert!(own.insert(id), "{id} is there twice in {path}");
        }
        ids.extend(own);
    }
    for (path, script) in pages_of(JAVASCRIPT) {
        for id in between(script, "byId('", '\'').chain(between(script, "getElementById('", '\'')) {
            assert!(ids.contains(id), "{path} looks for {id}");
        }
    }
}

#[test]
fn a_path_that_is_not_there_is_none() {
    for path in [
        "",
        "/index.html",
        "/assets",
        "/assets/",
        "/assets/../Cargo.toml",
        "/ASSETS/style.css",
        "//",
    ] {
        assert_eq!(find(path), None, "{path}");
    }
}
