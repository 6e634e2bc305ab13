use super::{
    super::{RelationshipsError, SCHEMA},
    Problem, Schema, required_permissions,
};

/// The first problem of a schema and where it is.
fn problem(text: &str) -> (usize, usize, Problem) {
    let error = Schema::parse(text).expect_err(text);
    (error.place.line, error.place.column, error.problem)
}

/// The first problem of a permission in a schema that is otherwise fine, and its column.
fn in_permission(expression: &str) -> (usize, Problem) {
    let (line, column, problem) = problem(&with_permission(expression));
    assert_eq!(line, 9, "{problem}");
    (column, problem)
}

fn with_permission(expression: &str) -> String {
    format!(
        "definition user {{}}\n\
         definition team {{\n\
         relation member: user\n\
         }}\n\
         definition doc {{\n\
         relation owner: user\n\
         relation team: team | user\n\
         relation every: user:*\n\
         permission see = {expression}\n\
         permission edit = owner\n\
         }}\n"
    )
}

fn unsupported(problem: &Problem) -> &'static str {
    if let Problem::Unsupported { what, .. } = problem { what } else { panic!("{problem}") }
}

#[test]
fn sluices_own_schema_has_every_permission_that_sluice_asks_about() {
    let schema = Schema::parse(SCHEMA).unwrap();
    schema.require("member", required_permissions()).unwrap();
    schema.require("tenant", sluice_schema::access::ON_TENANT).unwrap();
    assert!(required_permissions().any(|name| name == "see_as_staff_for_operations"));
    assert!(required_permissions().any(|name| name == "request_eligibility_check"));
}

#[test]
fn every_missing_permission_is_named_at_once() {
    let schema = Schema::parse(&with_permission("owner")).unwrap();
    schema.require("doc", ["see", "edit"]).unwrap();
    let Err(RelationshipsError::Invalid(text)) = schema.require("doc", ["see", "share", "owner"]) else { panic!() };
    assert!(text.contains("share, owner"), "a relation is no permission: {text}");
    assert!(schema.require("no_such", ["see"]).is_err());
}

#[test]
fn an_error_says_where_what_and_what_to_do() {
    let error = Schema::parse("definition user {}\ncaveat tall(height int) { height > 180 }").unwrap_err();
    let expected = "authorization schema, line 2, column 1: a caveat can't be evaluated in process; \
                    write a permission for each purpose, and use `with expiration` for time";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_whole_subset_is_read() {
    let text = "// comment\n/* use nothing\n */ use expiration\n\n/** doc */ definition user {}\n\
        definition team {\n  relation member: user | user with expiration | team#member | team#all_of with expiration\n\
        relation lead: user; permission all_of = member + lead\n}\n\
        definition doc {\n  relation team: team |\n    team with expiration\n  \
        relation open: user:* | user:* with expiration\n\
        permission see = (team->all_of + team.any(member) + nil) & (open - team->lead) // end\n}";
    Schema::parse(text).unwrap();
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    for (text, what) in [
        ("use typechecking", "this feature"),
        ("use self", "this feature"),
        ("partial view {}", "a partial"),
        ("import \"x\"", "an import"),
        ("definition acme/user {}", "a prefix of a type"),
        ("definition doc {\n...view\n}", "a partial"),
        ("definition doc {\n@deprecated\n}", "a decorator"),
        ("definition doc {\nrelation owner: acme/user\n}", "a prefix of a type"),
        ("definition doc {\nrelation owner: user#...\n}", "`#...`"),
        ("definition doc {\nrelation owner: user with tall\n}", "a caveat"),
        ("use expiration\ndefinition doc {\nrelation owner: user with tall and expiration\n}", "a caveat"),
        ("use expiration\ndefinition doc {\nrelation owner: user with expiration and tall\n}", "a caveat"),
        ("definition doc {\npermission see: user = owner\n}", "a type annotation of a permission"),
    ] {
        let (_, _, problem) = problem(text);
        assert_eq!(unsupported(&problem), what, "{text}");
    }
    assert_eq!(unsupported(&in_permission("team.all(member)").1), "`.all()`");
    assert_eq!(unsupported(&in_permission("team->member->owner").1), "a second arrow in a row");
    assert_eq!(unsupported(&in_permission("(owner + team)->member").1), "an arrow from a parenthesis");
}

#[test]
fn operators_do_not_mix_without_parentheses() {
    let mixed = |first, second| Problem::MixedOperators { first, second };
    assert_eq!(in_permission("owner + edit & team"), (31, mixed("+", "&")));
    assert_eq!(in_permission("owner - edit + team"), (31, mixed("-", "+")));
    assert_eq!(in_permission("owner & (edit - team + owner)"), (39, mixed("-", "+")));
    for fine in ["owner - edit - team", "owner + edit + team", "(owner + edit) & team", "owner - (edit & team)"] {
        Schema::parse(&with_permission(fine)).expect(fine);
    }
}

#[test]
fn expiration_must_be_turned_on_and_first() {
    let relation = "definition user {}\ndefinition doc {\nrelation owner: user with expiration\n}";
    assert_eq!(problem(relation), (3, 27, Problem::ExpirationNotEnabled));
    assert_eq!(problem("definition user {}\nuse expiration"), (2, 5, Problem::LateUse));
}

#[test]
fn names_must_exist() {
    let unknown =
        |object_type: &str, name: &str| Problem::UnknownName { object_type: object_type.into(), name: name.into() };
    assert_eq!(in_permission("self"), (18, unknown("doc", "self")));
    assert_eq!(in_permission("owner + (edit & onwer)"), (34, unknown("doc", "onwer")));
    assert_eq!(in_permission("taem->member"), (18, unknown("doc", "taem")));
    let nowhere = Problem::ArrowToNowhere { relation: "team".into(), target: "owner".into() };
    assert_eq!(in_permission("team->owner"), (24, nowhere));
    assert_eq!(problem("definition doc {\nrelation owner: user\n}"), (2, 17, Problem::UnknownType("user".into())));
    let set = "definition doc {\nrelation owner: doc#onwer\n}";
    assert_eq!(problem(set), (2, 21, unknown("doc", "onwer")));
    Schema::parse(&with_permission("team->member")).expect("one of two subject types has it");
}

#[test]
fn names_are_given_once() {
    let twice = |name: &str| Problem::Duplicate(name.into());
    assert_eq!(problem("definition user {}\ndefinition user {}"), (2, 12, twice("user")));
    assert_eq!(problem("definition user {\nrelation own: user\npermission own = nil\n}"), (3, 12, twice("own")));
    assert_eq!(problem("definition user {\nrelation own: user | user\n}"), (2, 22, twice("user")));
}

#[test]
fn arrows_start_from_relations_without_wildcards() {
    assert_eq!(in_permission("edit->member"), (18, Problem::ArrowFromPermission("edit".into())));
    assert_eq!(in_permission("every->member"), (18, Problem::ThroughWildcard("every".into())));
    let set = "definition user {}\ndefinition team {\nrelation member: user:*\nrelation lead: team#member\n}";
    assert_eq!(problem(set), (4, 21, Problem::ThroughWildcard("member".into())));
}

#[test]
fn statements_end_with_their_line() {
    assert_eq!(problem(&with_permission("owner +\n")), (11, 1, Problem::BadName("permission".into())));
    Schema::parse(&with_permission("owner +\nedit")).expect("an operator may end a line");
    let broken = "definition user {\nrelation own: user\n| user\n}";
    assert_eq!(problem(broken), (3, 1, Problem::LineBreak("|".into())));
    let broken = "definition user {\nrelation own: user\npermission see = own\n+ own\n}";
    assert_eq!(problem(broken), (4, 1, Problem::LineBreak("+".into())));
    let run_on = "definition user {\nrelation own: user relation two: user\n}";
    let expected = Problem::Unexpected { found: "`relation`".into(), expected: "the end of the line" };
    assert_eq!(problem(run_on), (2, 20, expected));
}

#[test]
fn broken_text_is_refused_where_it_breaks() {
    let unexpected = |found: &str, expected| Problem::Unexpected { found: found.into(), expected };
    assert_eq!(problem("/* open"), (1, 1, Problem::OpenComment));
    assert_eq!(
        problem("definition user {"),
        (1, 18, unexpected("the end of the file", "`relation`, `permission` or `}`"))
    );
    assert_eq!(problem("definitoin user {}"), (1, 1, unexpected("`definitoin`", "`use` or `definition`")));
    assert_eq!(problem("definition user {} ~"), (1, 20, unexpected("`~`", "`use` or `definition`")));
    assert_eq!(problem(&with_permission("")), (10, 1, Problem::BadName("permission".into())));
    let open = unexpected("`permission`", "`)` or an operator");
    assert_eq!(problem(&with_permission("(owner")), (10, 1, open));
    for name in ["User", "me", "user_", "_user", "1st", "relation", "expiration"] {
        assert_eq!(problem(&format!("definition {name} {{}}")), (1, 12, Problem::BadName(name.into())));
    }
}
