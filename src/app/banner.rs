//! What a person sees who has started Sluice.

use std::fmt::Write;

use crate::{config::Config, ready::Ready};

/// Prints the addresses, and what to paste where. On stdout: the log goes to stderr.
pub(super) fn print(ready: &Ready, config: &Config) {
    println!("{}", text(ready, config));
}

fn text(ready: &Ready, config: &Config) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(out, "\nSluice is running.\n");
    let _ = writeln!(out, "  Page             {}/", ready.url);
    let _ = writeln!(out, "  GraphQL          {}  (POST)", ready.graphql);
    let _ = writeln!(out, "  Subscriptions    {}  (graphql-transport-ws)", ready.subscriptions);
    let _ = writeln!(out, "  Long poll        {}/events?channel=/members/*/eligibility/*", ready.url);
    let _ = writeln!(out, "  Data             {}", config.data_dir.display());
    if !ready.viewers.is_empty() {
        let _ = writeln!(out, "\nTokens of the demo people, for {}:\n", super::demo::MEMBER);
        for (name, viewer) in &ready.viewers {
            let _ = writeln!(out, "  {name}\n    {}", viewer.token);
        }
        let _ = writeln!(out, "\n{}", first_steps(ready));
    }
    let _ = write!(out, "Stop it with Ctrl-C. The data stays; the next start goes on with it.");
    out
}

/// A first check, to paste into a shell.
fn first_steps(ready: &Ready) -> String {
    let token = ready.viewers.get("member").map_or("TOKEN", |member| member.token.as_str());
    let query = r#"mutation { requestEligibilityCheck(idempotencyKey: \"first\", input: { memberId: \"m-1001\", payerId: \"60054\", provider: { npi: \"1234567893\", organizationName: \"Riverside Clinic\" }, subscriber: { memberId: \"AETNA12345\", firstName: \"Ada\", lastName: \"Stone\", dateOfBirth: \"1980-05-17\" } }) { id state } }"#;
    format!(
        "Ask a (simulated) payer, and watch the answer come:\n\n  curl -s {} -H 'content-type: application/json' -H 'authorization: Bearer {token}' \\\n    -d '{{\"query\":\"{query}\"}}'\n\n  curl -s '{}/events?channel=/members/m-1001/**' -H 'authorization: Bearer {token}'\n",
        ready.graphql, ready.url,
    )
}
