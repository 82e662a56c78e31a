//! The git program: missing, too old.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn without_git_on_the_path_the_error_says_what_to_install() {
    let desk = Desk::new();
    let engine = desk.engine();
    fs::create_dir(desk.root().join("run/empty")).unwrap();
    let ran = desk.call(["up", "fix"]).env("PATH", desk.root().join("run/empty")).gets_refused(Kind::Git);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot run the git program
      because: No such file or directory (os error 2)
      hint: install git 2.38 or newer, on the PATH
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_git_that_is_too_old_is_refused_with_the_version_that_is_wanted() {
    let desk = Desk::new();
    let engine = desk.engine();
    let script = "#!/bin/sh\nfor word; do [ \"$word\" = version ] && echo git version 2.37.9 && exit; done\n\
                  PATH=/usr/local/bin:/usr/bin:/bin exec git \"$@\"\n";
    let git = desk.write("run/old/git", script);
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", git.parent().unwrap().display());
    let ran = desk.call(["up", "fix"]).env("PATH", path).gets_refused(Kind::Git);
    insta::assert_snapshot!(ran.stderr, @"
    error: git 2.37.9 is too old
      hint: install git 2.38 or newer
    ");
    assert!(engine.commands().is_empty());
}
