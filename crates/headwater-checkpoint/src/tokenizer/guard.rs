//! The tokenizers library panics on some damaged files.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

type Source = Box<dyn std::error::Error + Send + Sync>;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of another library; a panic in it becomes an error, and is not
/// written to standard error.
pub(crate) fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, Source> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    // What the closure has half done is dropped with it, or read no further.
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    QUIET.set(before);
    result.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        said.unwrap_or("it cannot be read")
            .replace('\n', " ")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_errors() {
        let error = quietly(|| -> () { panic!("two\nlines") }).unwrap_err();
        assert_eq!(error.to_string(), "two lines");
        assert_eq!(quietly(|| 3).unwrap(), 3);
        assert!(!QUIET.get());
    }
}
