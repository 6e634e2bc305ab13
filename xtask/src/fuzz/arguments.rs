//! `[target] [--seconds N]`, in any order.

/// The targets that are meant, and for how long each, if that was said.
pub(super) fn read(args: &[&str], known: &[String]) -> Result<(Vec<String>, Option<u32>), String> {
    let (mut names, mut seconds) = (Vec::new(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--seconds" {
            let number = args.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
            seconds = Some(number.ok_or("--seconds wants a number, from 1")?);
        } else if known.iter().any(|name| name == arg) {
            names.push((*arg).to_owned());
        } else {
            return Err(format!("there is no fuzz target {arg}, only {}", known.join(", ")));
        }
    }
    Ok((if names.is_empty() { known.to_vec() } else { names }, seconds))
}

#[cfg(test)]
mod tests {
    use super::read;

    fn known() -> Vec<String> {
        vec!["channel".to_owned(), "frame".to_owned()]
    }

    #[test]
    fn all_targets_or_those_that_are_named() {
        assert_eq!(read(&[], &known()), Ok((known(), None)));
        assert_eq!(read(&["--seconds", "5", "frame"], &known()), Ok((vec!["frame".to_owned()], Some(5))));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        assert_eq!(read(&["fram"], &known()), Err("there is no fuzz target fram, only channel, frame".to_owned()));
        for args in [&["--seconds"][..], &["--seconds", "soon"], &["--seconds", "0"]] {
            assert!(read(args, &known()).is_err(), "{args:?}");
        }
    }
}
