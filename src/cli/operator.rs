//! Who gives a command: the operating system's user, as the audit trail names her.

use std::fs;

use rustix::process::getuid;
use sluice_schema::{ids::UserId, viewer::PurposeOfUse};
use sluice_subscriptions::audit::Recipient;

const TRANSPORT: &str = "command-line";

/// The user that this process runs as: what the environment says about her is not believed.
pub(super) fn operator() -> Recipient {
    let id = getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Recipient {
        user: name(&users, id).unwrap_or_else(|| numbered(id)),
        actor: None,
        purpose: PurposeOfUse::Operations,
        transport: TRANSPORT.into(),
        seen: None,
    }
}

/// Her name in a file of passwd(5). One that is no user's id here is told by number.
fn name(users: &str, id: u32) -> Option<UserId> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.parse().ok())?
    })
}

fn numbered(id: u32) -> UserId {
    format!("uid-{id}").parse().expect("digits and letters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_by_name_or_else_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nops.team:x:7:7::/:/bin/sh\nops:x:8:8::/:/bin/sh\n";
        assert_eq!(name(users, 0), Some("root".parse().unwrap()));
        assert_eq!(name(users, 8), Some("ops".parse().unwrap()));
        for id in [7, 9] {
            assert_eq!(name(users, id), None);
        }
        assert_eq!(numbered(7).as_str(), "uid-7");
        assert_eq!(operator().transport, "command-line");
    }
}
