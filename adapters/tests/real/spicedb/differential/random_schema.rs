//! Random schemas of the part of SpiceDB's language that Sluice evaluates itself.

use fastrand::Rng;

const TYPES: [&str; 3] = ["team", "folder", "document"];
const RELATIONS: [&str; 2] = ["people", "parent"];
const PERMISSIONS: [&str; 3] = ["per0", "per1", "per2"];

/// What `people` and `parent` may allow. Everybody is in `public` only, which no set or arrow goes through: SpiceDB refuses that.
const PEOPLE: [&str; 7] = [
    "user",
    "user with expiration",
    "team",
    "team#people",
    "folder#per2 with expiration",
    "document#per1",
    "document#people",
];
const PARENT: [&str; 4] = ["team", "folder with expiration", "document", "folder#people"];
const PUBLIC: [&str; 4] = ["user", "user:*", "user:* with expiration", "team with expiration"];

pub(super) fn schema(rng: &mut Rng) -> String {
    let mut schema =
        "use expiration\n\ndefinition user {}\n\ndefinition gateway {\n\trelation beat: gateway with expiration\n}\n"
            .to_owned();
    for object_type in TYPES {
        schema.push_str(&format!("\ndefinition {object_type} {{\n"));
        for (relation, allowed) in [("people", &PEOPLE[..]), ("parent", &PARENT[..]), ("public", &PUBLIC[..])] {
            schema.push_str(&format!("\trelation {relation}: {}\n", allowed.join(" | ")));
        }
        for (index, permission) in PERMISSIONS.into_iter().enumerate() {
            schema.push_str(&format!("\tpermission {permission} = {}\n", expression(rng, index, 3)));
        }
        schema.push_str("}\n");
    }
    schema
}

/// Of the relations, and of the permissions before this one.
fn expression(rng: &mut Rng, permission: usize, depth: usize) -> String {
    if depth > 0 && rng.usize(..2) == 0 {
        // Most relationships are not there: what asks for all of them, or takes from them, is seldom granted.
        let operator = [" + ", " + ", " + ", " & ", " - "][rng.usize(..5)];
        let parts: Vec<_> = (0..rng.usize(2..4)).map(|_| expression(rng, permission, depth - 1)).collect();
        return format!("({})", parts.join(operator));
    }
    match rng.usize(..22) {
        0 => "nil".to_owned(),
        1..=13 => {
            let own = [&RELATIONS[..], &["public"], &PERMISSIONS[..permission]].concat();
            own[rng.usize(..own.len())].to_owned()
        }
        number => {
            let target = [&RELATIONS[..], &["public"], &PERMISSIONS[..]].concat();
            let (relation, target) = (RELATIONS[rng.usize(..2)], target[rng.usize(..target.len())]);
            if number < 16 { format!("{relation}.any({target})") } else { format!("{relation}->{target}") }
        }
    }
}
