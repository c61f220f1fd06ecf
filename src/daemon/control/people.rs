//! Who may ask what.
//!
//! To look includes the trace of one message; to read the rest of the journal is to act, and is journalled as acts are.
//!
//! | Who | looks | acts |
//! |---|---|---|
//! | root, the daemon's own user | yes | yes |
//! | whoever the kernel let through by the socket's group | yes | if that group is the operators' own |
//! | of these, members of `control.operate_group` | yes | yes |
//! | anyone else | no | no |
//!
//! The kernel names who connects by user and by one group; a user's further groups are looked up in `/etc/passwd` and
//! `/etc/group` at each request, so that a change counts at once. Asking the system's resolver, or the kernel for all
//! groups, needs calls that this package forbids itself: people of a directory service act by their first group, or as
//! members of an `operate_group` without a `view_group`, which the kernel checks.

use std::io;

use crate::store::disk::group_number;

/// Who connects, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) user: u32,
    /// Their first group.
    pub(super) group: u32,
}

/// The two groups of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::daemon) struct Groups {
    /// Members may look.
    pub(in crate::daemon) view: Option<String>,
    /// Members may act.
    pub(in crate::daemon) operate: Option<String>,
}

/// What someone may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum May {
    Nothing,
    Look,
    Act,
}

impl Groups {
    /// The group that the socket belongs to.
    pub(super) fn door(&self) -> Option<&str> {
        self.view.as_deref().or(self.operate.as_deref())
    }

    /// What `asker`, whom the kernel let through, may do. `own` is the daemon's user.
    pub(super) fn may(&self, asker: Asker, own: u32) -> May {
        match (self.door(), self.operate.as_deref()) {
            _ if asker.user == 0 || asker.user == own => May::Act,
            (None, _) => May::Nothing,
            (Some(door), Some(operate)) if door == operate => May::Act,
            (Some(_), Some(operate)) if is_member(asker, operate) => May::Act,
            (Some(_), _) => May::Look,
        }
    }
}

/// Who cannot be looked up is no member.
fn is_member(asker: Asker, group: &str) -> bool {
    let look = || -> io::Result<bool> {
        let number = group_number(group)?;
        let (users, groups) = (std::fs::read_to_string("/etc/passwd")?, std::fs::read_to_string("/etc/group")?);
        Ok(asker.group == number || is_listed(asker.user, number, &users, &groups))
    };
    look().unwrap_or_else(|error| {
        tracing::warn!(%error, group, "members of control.operate_group cannot be looked up");
        false
    })
}

/// Whether a line of group(5) with this number lists a name that passwd(5) gives this user.
fn is_listed(user: u32, group: u32, users: &str, groups: &str) -> bool {
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let has = |fields: &[String], number: u32| fields.get(2).is_some_and(|text| text.parse() == Ok(number));
    let names: Vec<String> =
        users.lines().map(fields).filter(|line| has(line, user)).filter_map(|line| line.first().cloned()).collect();
    groups
        .lines()
        .map(fields)
        .filter(|line| has(line, group))
        .filter_map(|line| line.get(3).cloned())
        .any(|members| members.split(',').any(|member| names.iter().any(|name| name == member)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 990;

    fn groups(view: Option<&str>, operate: Option<&str>) -> Groups {
        Groups { view: view.map(str::to_owned), operate: operate.map(str::to_owned) }
    }

    #[test]
    fn who_may_do_what() {
        let someone = |group| Asker { user: 1000, group };
        for (groups, may) in [
            (groups(None, None), May::Nothing),
            (groups(Some("70001"), None), May::Look),
            (groups(Some("70001"), Some("70002")), May::Look),
            (groups(None, Some("70002")), May::Act),
            (groups(Some("70002"), Some("70002")), May::Act),
            (groups(Some("70001"), Some("nobody has made this group")), May::Look),
        ] {
            assert_eq!(groups.may(someone(70001), OWN), may, "{groups:?}");
            for user in [0, OWN] {
                assert_eq!(groups.may(Asker { user, group: 70001 }, OWN), May::Act, "{user} {groups:?}");
            }
        }
        let both = groups(Some("70001"), Some("70002"));
        assert_eq!(both.may(someone(70002), OWN), May::Act, "by their first group");
    }

    #[test]
    fn members_are_found_by_their_user_number() {
        let users = "root:x:0:0:::\nalice:x:1000:1000:::\nali:x:1001:1001:::\nbroken\n";
        let groups = "meshd-view:x:991:ali\nmeshd-operate:x:990:bob,alice\nbroken\n";
        assert!(is_listed(1000, 990, users, groups));
        assert!(!is_listed(1001, 990, users, groups), "a part of a name is no name");
        assert!(!is_listed(1000, 991, users, groups));
        assert!(!is_listed(4242, 990, users, groups));
    }
}
