use std::sync::{Mutex, OnceLock, PoisonError};

/// A value that is made when it is first asked for: by one thread, while others
/// that need it wait. What fails is tried again by the next that asks.
pub(crate) struct Lazy<T> {
    value: OnceLock<T>,
    making: Mutex<()>,
}

impl<T> Lazy<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    pub(crate) fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = make()?;
        Ok(self.value.get_or_init(|| value))
    }
}

impl<T> From<T> for Lazy<T> {
    fn from(value: T) -> Self {
        Self {
            value: OnceLock::from(value),
            making: Mutex::new(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn threads_share_one_value_that_is_made_once() {
        let (lazy, made) = (Lazy::new(), AtomicU32::new(0));
        lazy.get_or_try_init(|| Err::<u32, _>("not yet"))
            .unwrap_err();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let value = lazy.get_or_try_init(|| {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        Ok::<_, &str>(made.fetch_add(1, Ordering::Relaxed))
                    });
                    assert_eq!(value, Ok(&0));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
