//! Names of owning groups to numbers, from `/etc/group`.
//!
//! Groups of a directory service are not in that file and are given by number instead: asking the system's resolver
//! needs calls that this package forbids itself.

use std::io;
use std::path::Path;

/// The number of the group `name`, which may be a number already.
pub fn number(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    find(&table()?, name).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("no group {name:?} in /etc/group; its number can be given instead"),
        )
    })
}

/// Every name in the file.
pub fn names() -> io::Result<Vec<String>> {
    Ok(table()?.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect())
}

fn table() -> io::Result<String> {
    std::fs::read_to_string(Path::new("/etc/group"))
}

/// Lines are `name:password:number:members` (group(5)).
fn find(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let table = "root:x:0:\nmeshd-output:x:991:\nmeshd-out:x:990:alice,bob\nbroken\n";
        assert_eq!(find(table, "meshd-out"), Some(990));
        assert_eq!(find(table, "meshd"), None);
        assert_eq!(find(table, "broken"), None);
    }

    #[test]
    fn a_number_stands_for_itself() {
        assert_eq!(number("12345").ok(), Some(12345));
    }
}
