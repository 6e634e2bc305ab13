use std::{collections::VecDeque, sync::Mutex, time::Duration};

use async_trait::async_trait;
use sluice_schema::{ids::PayerId, proto::eligibility::Coverage};
use tokio::sync::watch;

use crate::eligibility::{
    input::{ProviderInput, RequestInput, SubscriberInput},
    payer::{Payer, PayerAnswer, PayerError, PayerRequest},
};

/// What a scripted payer does with one question.
#[derive(Debug, Clone)]
pub enum Step {
    Now(Result<PayerAnswer, PayerError>),
    After(Duration, Result<PayerAnswer, PayerError>),
    Never,
}

/// A payer that follows a script; behind its end it answers with active coverage at once. It knows all payers with ids of
/// digits but 99999.
pub struct ScriptedPayer {
    script: Mutex<VecDeque<Step>>,
    calls: watch::Sender<usize>,
}

impl Default for ScriptedPayer {
    fn default() -> Self {
        Self::new([])
    }
}

impl ScriptedPayer {
    pub fn new(script: impl IntoIterator<Item = Step>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), calls: watch::Sender::new(0) }
    }

    /// How often it was asked.
    pub fn calls(&self) -> watch::Receiver<usize> {
        self.calls.subscribe()
    }

    pub fn active() -> PayerAnswer {
        PayerAnswer::Coverage(Box::new(Coverage { active: Some(true), ..Coverage::default() }))
    }
}

#[async_trait]
impl Payer for ScriptedPayer {
    fn knows(&self, payer: &PayerId) -> bool {
        payer.as_str() != "99999" && payer.as_str().bytes().all(|b| b.is_ascii_digit())
    }

    async fn check(&self, _: &PayerRequest) -> Result<PayerAnswer, PayerError> {
        let step = self.script.lock().expect("no test panics with the lock").pop_front();
        self.calls.send_modify(|calls| *calls += 1);
        match step.unwrap_or(Step::Now(Ok(Self::active()))) {
            Step::Now(answer) => answer,
            Step::After(wait, answer) => {
                tokio::time::sleep(wait).await;
                answer
            }
            Step::Never => std::future::pending().await,
        }
    }
}

/// Good input about member m-1.
pub fn request_input() -> RequestInput {
    RequestInput {
        member_id: "m-1".into(),
        payer_id: "60054".into(),
        provider: ProviderInput { npi: "1234567893".into(), organization_name: "Birch Street Clinic".into() },
        subscriber: SubscriberInput {
            member_id: "W0042".into(),
            first_name: "Ada".into(),
            last_name: "Quill".into(),
            date_of_birth: "1984-02-29".into(),
        },
        service_type_codes: vec!["30".into()],
        date_of_service: None,
    }
}
