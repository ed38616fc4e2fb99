//! What shape each array of an analysis has to have.

use std::collections::BTreeMap;

use crate::{ArrayKey, Axis, Error, Inputs, Stack};

/// Checks array after array against the tokens of the inputs and against what
/// the arrays before it say of the model.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    /// Heads of a layer, by stack; of the first array that has heads.
    heads: BTreeMap<Stack, usize>,
    /// Entries of a hidden state, by stack.
    width: BTreeMap<Stack, usize>,
}

impl Shapes {
    /// # Errors
    /// [`Error::Shape`] and [`Error::NoSuchStack`].
    pub(crate) fn check(
        &mut self,
        inputs: Inputs<'_>,
        key: &ArrayKey,
        found: &[usize],
    ) -> Result<(), Error> {
        let stack = key.stack();
        if !inputs.stacks().contains(&stack) {
            return Err(Error::NoSuchStack {
                key: key.to_string(),
            });
        }
        let tokens = inputs.tokens(stack);
        let expected = match key.array() {
            None => {
                let width = found.last().copied().unwrap_or(0);
                vec![tokens, *self.width.entry(stack).or_insert(width)]
            }
            Some(array) => {
                let heads = match array.axes().first() {
                    Some(Axis::Head) => {
                        let heads = found.first().copied().unwrap_or(0);
                        *self.heads.entry(stack).or_insert(heads)
                    }
                    _ => 0,
                };
                let sources = match array.is_cross() {
                    true => inputs.tokens(Stack::Encoder),
                    false => tokens,
                };
                array.shape(heads, tokens, sources)
            }
        };
        if found != expected || found.contains(&0) {
            return Err(Error::Shape {
                key: key.to_string(),
                found: found.to_vec(),
                expected,
                tokens,
            });
        }
        Ok(())
    }
}
