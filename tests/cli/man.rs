//! `sandbox man`

use std::fs;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn the_page_is_a_manual_page_that_names_every_exit_code() {
    let desk = Desk::bare();
    let page = desk.run(["man"]).succeeds();
    assert!(page.lines().take(4).any(|line| line.starts_with(".TH sandbox 1")), "{page}");
    assert!(page.contains("Exit codes:"), "{page}");
}

#[test]
fn a_page_for_each_command_is_written_into_a_directory() {
    let desk = Desk::bare();
    desk.run(["man", "--output", "pages/man1"]).succeeds();
    let pages = desk.root().join("src/pages/man1");
    for page in ["sandbox.1", "sandbox-up.1", "sandbox-rm.1", "sandbox-images-build.1"] {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".TH "), "{page}: {text}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let desk = Desk::bare();
    desk.write("src/pages", "a file\n");
    let ran = desk.call(["man", "--output", "pages"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot write manual pages to pages
      because: File exists (os error 17)
    ");
}
