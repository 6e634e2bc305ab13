use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Command {
    Cli::try_parse_from(line.split(' ')).unwrap().command()
}

fn refused(line: &str) -> String {
    Cli::try_parse_from(line.split(' ')).unwrap_err().to_string()
}

#[test]
fn the_definition_is_consistent() {
    <Cli as CommandFactory>::command().debug_assert();
}

#[test]
fn no_command_is_serve_with_its_flags() {
    for line in ["sluice --listen 127.0.0.1:9 --data-dir d", "sluice serve --listen 127.0.0.1:9 --data-dir d"] {
        let Command::Serve(args) = parse(line) else { panic!("{line}") };
        let config = args.config().unwrap();
        assert_eq!(config.server.listen.port(), 9, "{line}");
        assert_eq!(config.data_dir, PathBuf::from("d"), "{line}");
    }
}

#[test]
fn a_bad_address_is_refused_as_configuration() {
    let Command::Serve(args) = parse("sluice --listen nowhere") else { panic!() };
    let text = args.config().unwrap_err().to_string();
    assert!(text.starts_with("bad value for `server.listen` from --listen"), "{text}");
}

#[test]
fn a_token_is_for_a_demo_person_or_for_somebody_named_in_full() {
    let Command::Token(demo) = parse("sluice token --as nurse") else { panic!() };
    assert_eq!((demo.r#as, demo.ttl), (Some(DemoPerson::Nurse), Period::hours(12)));

    let Command::Token(named) = parse("sluice token --user u-1 --tenant t-1 --purpose treat --ttl 15m") else {
        panic!()
    };
    assert_eq!(named.purpose, Some(PurposeOfUse::Treatment));

    for line in [
        "sluice token",
        "sluice token --as nurse --user u-1 --tenant t-1 --purpose TREAT",
        "sluice token --user u-1",
        "sluice token --as nurse --tenant t-1",
        "sluice token --as somebody",
        "sluice token --as nurse --ttl never",
        "sluice token --user u-1 --tenant t-1 --purpose FUN",
    ] {
        refused(line);
    }
    assert!(refused("sluice token --user u-1 --tenant t-1 --purpose FUN").contains("TREAT, HPAYMT, HOPERAT, PATRQT"));
}

#[test]
fn demo_people_are_named_alike_on_the_command_line_and_in_the_ready_file() {
    for person in DemoPerson::value_variants() {
        assert_eq!(person.to_possible_value().unwrap().get_name(), person.name());
    }
}

#[test]
fn audit_verify_takes_a_directory() {
    let Command::Audit(AuditCommand::Verify(args)) = parse("sluice audit verify --data-dir elsewhere") else {
        panic!()
    };
    let config = args.config().unwrap();
    assert_eq!(config.data_dir, PathBuf::from("elsewhere"));
    assert_eq!(config.heads_file(), PathBuf::from("elsewhere/audit-heads.jsonl"));
}

#[test]
fn audit_verify_takes_several_files_and_keys_or_no_heads_at_all() {
    let line = "sluice audit verify --heads a --heads b --public-key keys.txt --public-key AAAA";
    let Command::Audit(AuditCommand::Verify(args)) = parse(line) else { panic!() };
    assert_eq!((args.heads.len(), args.public_key.len(), args.no_heads), (2, 2, false));
    refused("sluice audit verify --no-heads --heads a");
}

#[test]
fn a_master_key_is_made_by_naming_a_file_and_rotated_by_naming_two() {
    for line in ["sluice master-key m.key", "sluice master-key make m.key"] {
        let Command::MasterKey(args) = parse(line) else { panic!("{line}") };
        let MasterKeyCommand::Make { file } = args.command() else { panic!("{line}") };
        assert_eq!(file, PathBuf::from("m.key"));
    }
    let Command::MasterKey(args) = parse("sluice master-key rotate --url postgres://o@h/d --old a --new b") else {
        panic!()
    };
    assert!(matches!(args.command(), MasterKeyCommand::Rotate(_)));
    refused("sluice master-key");
    refused("sluice master-key rotate --url postgres://o@h/d --old a");
}

#[test]
fn an_erasure_names_a_tenant_and_a_member() {
    let Command::EraseMember(args) = parse("sluice erase-member --tenant acme --member m-1") else { panic!() };
    assert_eq!((args.tenant.as_str(), args.member.as_str(), args.yes), ("acme", "m-1", false));
    refused("sluice erase-member --tenant acme --yes");
    assert!(refused("sluice erase-member --tenant acme --member a/b").contains("a member id"));
}
