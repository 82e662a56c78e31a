//! What is mounted at or below a directory. It is not the directory's own, and a removal must not reach into it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::discover::path;

/// The kernel's list for this process: the fifth word of a line is a mount point.
const LIST: &str = "/proc/self/mountinfo";

/// The mount points at or below a directory.
pub(super) fn at_or_below(directory: &Path) -> Vec<PathBuf> {
    in_list(&fs::read(LIST).unwrap_or_default(), directory)
}

fn in_list(list: &[u8], directory: &Path) -> Vec<PathBuf> {
    let points = list.split(|&byte| byte == b'\n').filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
    let points = points.map(|point| path(&unescaped(point)));
    points.filter(|point| point.as_os_str().as_bytes().first() == Some(&b'/') && point.starts_with(directory)).collect()
}

/// Blanks and the like stand as a backslash and three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(word.len()), word);
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let meant = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(meant.unwrap_or(byte));
        rest = if meant.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_are_found_whatever_they_are_called() {
        let list = b"22 1 8:1 / / rw - ext4 /dev/sda rw\n40 22 8:1 /x /a/b/node_modules rw - ext4 /dev/sda rw\n\
            41 22 0:5 / /a/b/with\\040blank rw - tmpfs none rw\n42 22 0:6 / /a/bc rw - tmpfs none rw\n";
        let found = in_list(list, Path::new("/a/b"));
        assert_eq!(found, [Path::new("/a/b/node_modules"), Path::new("/a/b/with blank")]);
        assert_eq!(in_list(list, Path::new("/a/bc")), [Path::new("/a/bc")]);
        assert!(in_list(list, Path::new("/a/d")).is_empty());
    }
}
