//! One question to a payer, asked until there is an answer or the time is up.

use sluice_schema::proto::eligibility::{Failure, Rejection};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    aggregate::Command,
    payer::{Payer, PayerAnswer, PayerError, PayerRequest},
    process::{ProcessConfig, jittered, left},
};

/// What to record. A payer that said why it can't answer now (AAA 42, 80), and says so to the end, has rejected the check:
/// people want its code. One that said nothing has failed.
pub(super) async fn ask(payer: &dyn Payer, request: &PayerRequest, config: &ProcessConfig) -> Command {
    let until = Instant::now() + config.deadline;
    let mut wait = config.first_wait;
    let mut last_word = None;
    while let Ok(answer) = timeout_at(until, payer.check(request)).await {
        match answer {
            Ok(PayerAnswer::Coverage(coverage)) => return Command::Answer(coverage),
            Ok(PayerAnswer::Rejected(rejections)) => return Command::Reject(rejections),
            Err(PayerError::Unreadable(place)) => return unreadable(request, &place),
            Err(PayerError::Unavailable(rejections)) => last_word = Some(rejections),
        }
        let pause = jittered(wait);
        if left(until).is_none_or(|left| left <= pause) {
            break;
        }
        sleep(pause).await;
        wait = config.longest_wait.min(wait * 2);
    }
    given_up(last_word)
}

fn unreadable(request: &PayerRequest, place: &str) -> Command {
    tracing::warn!(check = %request.check, payer = %request.payer, place, "a payer's answer can't be read");
    fail("PAYER_UNREADABLE", "The payer's answer is not of the documented form. Ask the payer by another way.")
}

/// In place of an outcome that the store can't take.
pub(super) fn too_large(request: &PayerRequest) -> Command {
    tracing::warn!(check = %request.check, payer = %request.payer, "a payer's answer is too large to be kept");
    fail("PAYER_TOO_LARGE", "The payer's answer is larger than can be kept. Ask the payer by another way.")
}

fn given_up(last_word: Option<Vec<Rejection>>) -> Command {
    match last_word {
        Some(rejections) if !rejections.is_empty() => Command::Reject(rejections),
        Some(_) => fail("PAYER_UNAVAILABLE", "The payer could not be reached. Ask again later."),
        None => fail("PAYER_TIMEOUT", "The payer did not answer in time. Ask again later."),
    }
}

fn fail(code: &str, text: &str) -> Command {
    Command::Fail(Failure { code: code.into(), text: text.into() })
}
