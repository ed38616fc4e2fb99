//! Identities that any decomposition of any layer obeys, on random layers.

mod cross_attention;
mod every_scope;
mod feed_forward;
mod random;
