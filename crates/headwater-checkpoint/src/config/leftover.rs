//! Keys of `config.json` that nothing reads: harmless, refused, or not known to any class.

use serde_json::Value;

use super::{Config, refuse, shown};
use crate::Error;

/// Keys on which no hidden state, attention weight or logit depends, in any class.
const HARMLESS: [&str; 75] = [
    // What made the file, and who may use it.
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "model_type",
    "name_or_path",
    "tokenizer_class",
    "transformers_version",
    // Element types and ways to compute the same.
    "attn_implementation",
    "_attn_implementation",
    "_experts_implementation",
    "chunk_size_feed_forward",
    "deterministic_flash_attn",
    "dtype",
    "experts_implementation",
    "gradient_checkpointing",
    "pretraining_tp",
    "reference_compile",
    "repad_logits_with_grad",
    "reorder_and_upcast_attn",
    "slow_but_exact",
    "tf_legacy_loss",
    "torch_dtype",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
    // What is returned, and in which form.
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_router_logits",
    "output_scores",
    "remove_invalid_values",
    "return_dict",
    "return_dict_in_generate",
    "tie_last_hidden_states",
    // Training.
    "init_std",
    "initializer_cutoff_factor",
    "initializer_factor",
    "initializer_range",
    "label_smoothing",
    "layerdrop",
    "encoder_layerdrop",
    "decoder_layerdrop",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sparse_pred_ignore_index",
    "sparse_prediction",
    // Embeddings that a file holds however they were made at first.
    "sinusoidal_pos_embds",
    // Heads of tasks.
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "finetuning_task",
    "task_specific_params",
    "pooler_hidden_act",
    "pooler_hidden_size",
    "decoder_bias",
    "tie_word_embeddings",
    "tie_weights_",
    // What pipelines put before a text.
    "prefix",
    // Of single tokens; padding is read where it matters.
    "bos_token_id",
    "cls_token_id",
    "eos_token_id",
    "pad_token_id",
    "sep_token_id",
    "decoder_start_token_id",
    "force_bos_token_to_be_generated",
    "is_encoder_decoder",
    // Published files have these from before there were classes for them.
    "directionality",
    "n_ctx",
    "n_special",
    "predict_special_tokens",
    "model_max_length",
];

/// Groups of such keys: heads, dropout, and the poolers of the first multilingual BERT.
fn is_harmless(key: &str) -> bool {
    HARMLESS.contains(&key)
        || ["classifier_", "classif_", "summary_", "pooler_"]
            .iter()
            .any(|start| key.starts_with(start))
        || ["dropout", "_pdrop", "dropout_prob", "dropout_rate"]
            .iter()
            .any(|end| key.ends_with(end))
}

impl Config {
    /// Refuses what a class knows and nothing has read, where it is not harmless and not at its
    /// default. Returns the keys that no class knows.
    pub(crate) fn check_unread(&self) -> Result<Vec<String>, Error> {
        let mut unknown = Vec::new();
        let read = self.read.borrow();
        for (key, value) in &self.fields {
            if read.contains(key.as_str()) || is_harmless(key) || self.class.is_of_generation(key) {
                continue;
            }
            let Some(defaults) = self.class.defaults(key) else {
                unknown.push(key.clone());
                continue;
            };
            let is_default = match defaults {
                [] => value.is_null(),
                defaults => defaults.iter().any(|default| are_equal(default, value)),
            };
            if !is_default {
                return Err(Error::UnsupportedKey {
                    field: key.clone(),
                    value: shown(value),
                    default: match defaults {
                        [] => "its absence".into(),
                        [default, ..] => shown(default),
                    },
                });
            }
        }
        Ok(unknown)
    }

    /// Refuses variants that no family computes.
    pub(crate) fn refuse_variants(&self) -> Result<(), Error> {
        let field = "position_embedding_type";
        refuse(
            field,
            self.value(field),
            |value| value == "absolute",
            "only absolute position embeddings are supported",
        )?;
        let field = "pruned_heads";
        let is_empty = |value: &Value| {
            value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        };
        refuse(
            field,
            self.value(field),
            is_empty,
            "models with pruned heads are not supported",
        )?;
        self.require(
            "add_cross_attention",
            false,
            "cross-attention is not supported",
        )
    }

    /// Refuses quantized weights, whose shapes and types are others than those of the model.
    pub(crate) fn refuse_quantized(&self) -> Result<(), Error> {
        let fields = ["quantization_config", "quantization", "compression_config"];
        for field in fields {
            let Some(value) = self.value(field) else {
                continue;
            };
            let method = value.get("quant_method").or(value.get("format"));
            return Err(Error::Quantized {
                field,
                method: method.and_then(Value::as_str).map(str::to_owned),
            });
        }
        Ok(())
    }
}

/// Whether two values are the same; of numbers, whether they are the same number.
fn are_equal(default: &Value, value: &Value) -> bool {
    match (default.as_f64(), value.as_f64()) {
        (Some(default), Some(value)) => default == value,
        _ => default == value,
    }
}
