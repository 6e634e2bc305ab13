//! At start-up: every GraphQL field that could show something of a member has an annotated source.

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use sluice_schema::access::MESSAGES;

/// Types whose fields show nothing by themselves, with the reason. All other object types mirror an annotated message.
const STRUCTURE: &[(&str, &str)] = &[
    ("Query", "a root"),
    ("Mutation", "a root"),
    ("Subscription", "a root"),
    ("Member", "an opaque id, and what has labels of its own"),
    ("MemberEligibility", "what has labels of its own"),
    ("EligibilityCheckConnection", "paging"),
    ("EligibilityCheckEdge", "paging"),
    ("PageInfo", "paging"),
    ("Event", "the header, which is free of PHI, and a payload with labels of its own"),
    ("EventSubject", "the header"),
    ("MemberAccess", "what the asker herself said"),
    ("CareTeamMember", "what the asker herself said"),
    ("Consent", "what the asker herself said"),
    ("EmergencyAccess", "what the asker herself said"),
    ("RevokedTokens", "ids of users and tokens, and times"),
    ("_Service", "federation"),
];

/// Holds the schema against the table of annotations.
///
/// # Errors
/// Names each field that has no annotated source.
pub(crate) fn check(sdl: &str) -> Result<(), String> {
    let document = parse_schema(sdl).map_err(|error| format!("the schema's own SDL does not parse: {error}"))?;
    let mut unannotated = Vec::new();
    for definition in &document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let TypeKind::Object(object) = &definition.node.kind else { continue };
        let name = definition.node.name.node.as_str();
        if STRUCTURE.iter().any(|(structure, _)| *structure == name) {
            continue;
        }
        let table = MESSAGES.iter().find(|table| table.graphql_type == name);
        let annotated =
            |field: &str| table.is_some_and(|table| table.fields.iter().any(|entry| entry.json_name == field));
        let fields = object.fields.iter().map(|field| field.node.name.node.as_str());
        unannotated.extend(fields.filter(|field| !annotated(field)).map(|field| format!("{name}.{field}")));
    }
    if unannotated.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "these GraphQL fields have no annotated source, so nobody can say who may see them: {}",
            unannotated.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_schema_is_annotated_throughout() {
        assert_eq!(check(&crate::roots::builder().finish().sdl()), Ok(()));
    }

    #[test]
    fn a_field_without_a_source_is_named() {
        let error =
            check("type Coverage { active: Boolean, shoeSize: Int } type Loose { x: Int }").expect_err("two are loose");
        assert!(
            error.contains("Coverage.shoeSize") && error.contains("Loose.x") && !error.contains("Coverage.active"),
            "{error}"
        );
    }
}
