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
    let Command::Audit(AuditCommand::Verify(place)) = parse("sluice audit verify --data-dir elsewhere") else {
        panic!()
    };
    assert_eq!(place.config().unwrap().data_dir, PathBuf::from("elsewhere"));
}
