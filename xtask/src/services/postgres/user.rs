//! PostgreSQL refuses to run as root.

use std::process::Command;

/// A user of this machine.
pub(crate) struct OsUser {
    name: &'static str,
    uid: u32,
    gid: u32,
}

impl OsUser {
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn gid(&self) -> u32 {
        self.gid
    }
}

/// The user that it has to run as, where that is not the one who asks.
pub(crate) fn needed() -> Result<Option<OsUser>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].into_iter().find_map(look_up);
    found.map(Some).ok_or_else(|| {
        "PostgreSQL does not run as root, and neither `postgres` nor `nobody` is a user of this machine: run as another user"
            .to_owned()
    })
}

fn look_up(name: &'static str) -> Option<OsUser> {
    Some(OsUser { name, uid: id("-u", name)?, gid: id("-g", name)? })
}

fn id(which: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([which, name]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
