use crate::named::named;

named! {
    /// A prefix of a layer's components, named as in the papers: ATB is the
    /// attention block, and `ln` a norm of either kind.
    ///
    /// Which scopes a layer has depends on how it is wired; this is the list of
    /// names, in the order of computation.
    pub enum Scope, slug, UnknownScope {
        /// `attn`: multi-head attention alone (2020; ATTN-N of 2021), of the normalized
        /// input where a norm comes first.
        Attn = "attn",
        /// `attn_ln`: and the norm of its output. Sandwich and norm on output.
        AttnLn = "attn_ln",
        /// `attn_res`: attention and residual connection (ATTNRES-N of 2021). Post-LN and parallel.
        AttnRes = "attn_res",
        /// `atb`: the attention block: with its layer normalization in post-LN
        /// models (ATTNRESLN-N of 2021), with its residual in others.
        Atb = "atb",
        /// `atb_ln`: the attention block and the norm before the feed-forward block. Pre-LN and sandwich.
        AtbLn = "atb_ln",
        /// `atb_ff`: through the feed-forward sublayer (2023). Post-LN and norm on output.
        AtbFf = "atb_ff",
        /// `atb_ff_ln`: through the norm of its output. Norm on output.
        AtbFfLn = "atb_ff_ln",
        /// `atb_ff_ln_res`: the whole layer. Norm on output.
        AtbFfLnRes = "atb_ff_ln_res",
        /// `atb_ff_res`: through its residual connection. Post-LN.
        AtbFfRes = "atb_ff_res",
        /// `atb_ff_res_ln`: the whole layer. Post-LN.
        AtbFfResLn = "atb_ff_res_ln",
        /// `atb_ln_ff`: through the feed-forward sublayer (2023). Pre-LN and sandwich.
        AtbLnFf = "atb_ln_ff",
        /// `atb_ln_ff_ln`: through the norm of its output. Sandwich.
        AtbLnFfLn = "atb_ln_ff_ln",
        /// `atb_ln_ff_ln_res`: the whole layer. Sandwich.
        AtbLnFfLnRes = "atb_ln_ff_ln_res",
        /// `atb_ln_ff_res`: the whole layer. Pre-LN.
        AtbLnFfRes = "atb_ln_ff_res",
        /// `layer`: the whole layer, where its blocks stand side by side.
        Layer = "layer",
        /// `cross_attn`: multi-head attention to an encoder alone (the translation part of 2020).
        CrossAttn = "cross_attn",
        /// `cross_attn_res`: and the residual connection, which brings in the target's own stream.
        CrossAttnRes = "cross_attn_res",
        /// `cross_attn_res_ln`: and the next layer normalization: the block's own
        /// (post-LN) or the feed-forward block's (pre-LN).
        CrossAttnResLn = "cross_attn_res_ln",
        /// `cross_attn_res_ln_ff`: through the feed-forward sublayer.
        CrossAttnResLnFf = "cross_attn_res_ln_ff",
        /// `cross_attn_res_ln_ff_res`: through its residual connection.
        CrossAttnResLnFfRes = "cross_attn_res_ln_ff_res",
        /// `cross_attn_res_ln_ff_res_ln`: through the last layer normalization. Post-LN.
        CrossAttnResLnFfResLn = "cross_attn_res_ln_ff_res_ln",
    }
}

impl Scope {
    /// Whether the sources are the tokens of an encoder: the scopes whose names
    /// begin with `cross_`.
    pub fn is_cross(self) -> bool {
        self.slug().starts_with("cross_")
    }
}
