/** What a scope's components are, in words. */
const SCOPES = {
  attn: "attention",
  attn_res: "attention, residual",
  atb: "attention block",
  atb_ln: "attention block, normalization",
  atb_ff: "attention block, feed-forward",
  atb_ff_res: "attention block, feed-forward, residual",
  atb_ff_res_ln: "whole layer",
  atb_ln_ff: "attention block, normalization, feed-forward",
  atb_ln_ff_res: "whole layer",
  cross_attn: "cross-attention",
  cross_attn_res: "cross-attention, residual",
  cross_attn_res_ln: "cross-attention block",
  cross_attn_res_ln_ff: "cross-attention block, feed-forward",
  cross_attn_res_ln_ff_res: "cross-attention block, feed-forward, residual",
  cross_attn_res_ln_ff_res_ln: "cross-attention to the end of the layer",
};

const QUANTITIES = {
  attention_weights: "attention weights α",
  weighted_norms: "weighted norms ‖αf(x)‖",
  transformed_norms: "transformed norms ‖f(x)‖",
  cross_attention_weights: "cross-attention weights α",
  cross_weighted_norms: "cross-attention weighted norms ‖αf(x)‖",
  cross_transformed_norms: "cross-attention transformed norms ‖f(x)‖",
  "mixing_ratio.attn_w": "attention weights alone",
  "mixing_ratio.attn_res_w": "attention weights and an identity",
};

export function scopeOf(id) {
  return id.slice(id.indexOf(".") + 1);
}

/** The name of a measure, for a reader. */
export function measureName(id) {
  if (QUANTITIES[id]) return QUANTITIES[id];
  const scope = scopeOf(id);
  return `${SCOPES[scope] ?? scope} (${scope})`;
}

/** What a map's numbers are. */
export function quantityName(id) {
  return QUANTITIES[id] ?? `norms ‖y‖, ${measureName(id)}`;
}
