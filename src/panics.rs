//! What is told of a panic. Its text may hold anything that the program had at hand, an event among it: it is told only where
//! it is a part of the program.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic::{PanicHookInfo, set_hook},
    thread,
};

const WITHHELD: &str = "(withheld: it was put together from values)";

/// From now on panics are told in the log, or on stderr where there is none yet. Once per process, before anything else.
pub fn install() {
    set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    let (thread, text) = (thread.name().unwrap_or("without a name"), text(panic.payload()));
    if !tracing::dispatcher::has_been_set() {
        return eprintln!("sluice: a panic at {at}, in the thread {thread}: {text}");
    }
    // Where RUST_BACKTRACE asks for one. It names functions and lines, and no values.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(at, thread, text, %backtrace, "a panic"),
        _ => tracing::error!(at, thread, text, "a panic"),
    }
}

/// A literal's payload is a `&'static str`; what was formatted is a `String`.
fn text(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use std::panic::{UnwindSafe, catch_unwind};

    use super::*;

    fn told(panics: impl FnOnce() + UnwindSafe) -> &'static str {
        text(&*catch_unwind(panics).expect_err("it panics"))
    }

    #[test]
    fn a_literal_is_told() {
        assert_eq!(told(|| panic!("it was asked for twice")), "it was asked for twice");
    }

    #[test]
    fn what_was_put_together_is_not() {
        let word = String::from("Quimby");
        let (one, two, three) = (word.clone(), word.clone(), word);
        assert_eq!(told(move || panic!("{one} was asked for")), WITHHELD);
        assert_eq!(told(move || assert_eq!(two, "another")), WITHHELD);
        assert_eq!(told(move || assert!(three.parse::<u8>().unwrap() > 0)), WITHHELD);
        assert_eq!(told(|| std::panic::panic_any(vec![1])), WITHHELD);
    }
}
