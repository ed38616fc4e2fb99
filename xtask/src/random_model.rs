//! Models of random weights in the shapes of well-known ones: what time and
//! memory depend on, without a download.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use safetensors::{Dtype, View};
use serde::Serialize;
use serde_json::{Value, json};

/// The sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Shape {
    /// BERT-base: 12 layers, d_model 768, 12 heads
    Base,
    /// MiniLM: 6 layers, d_model 384, 12 heads
    Minilm,
    /// GPT-2: 12 layers, d_model 768, 12 heads, causal
    Gpt2,
    /// Marian-base, as Opus-MT models are: 6 and 6 layers, d_model 512, 8 heads
    Marian,
}

/// The words of a tokenizer that come before the made-up ones.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// What GPT-2 has positions for; BERT takes half of it.
const GPT2_POSITIONS: usize = 1024;

impl Shape {
    /// The name in tables and of the folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Base => "BERT-base",
            Self::Minilm => "MiniLM",
            Self::Gpt2 => "GPT-2",
            Self::Marian => "Marian-base",
        }
    }

    /// Layers of a stack.
    pub(crate) fn layers(self) -> usize {
        match self {
            Self::Minilm | Self::Marian => 6,
            _ => 12,
        }
    }

    pub(crate) fn d_model(self) -> usize {
        match self {
            Self::Minilm => 384,
            Self::Marian => 512,
            _ => 768,
        }
    }

    pub(crate) fn d_ff(self) -> usize {
        4 * self.d_model()
    }

    pub(crate) fn heads(self) -> usize {
        match self {
            Self::Marian => 8,
            _ => 12,
        }
    }

    /// An encoder and a decoder.
    pub(crate) fn is_translation(self) -> bool {
        self == Self::Marian
    }

    /// Pre-LN, and every token sees only what comes before it.
    pub(crate) fn is_causal(self) -> bool {
        self == Self::Gpt2
    }

    pub(crate) fn vocabulary(self) -> usize {
        match self {
            Self::Gpt2 => 50257,
            Self::Marian => 58101,
            _ => 30522,
        }
    }

    /// Ids of random tokens, none of them special.
    pub(crate) fn ids(self, tokens: usize, random: &mut fastrand::Rng) -> Vec<u32> {
        let vocabulary = self.vocabulary() as u32;
        (0..tokens).map(|_| random.u32(1000..vocabulary)).collect()
    }

    /// The model, written to a folder under target when it is first asked for.
    pub(crate) fn directory(self) -> anyhow::Result<PathBuf> {
        let models = crate::target().join("random-models");
        let kept = models.join(self.name());
        if kept.is_dir() {
            return Ok(kept);
        }
        fs::create_dir_all(&models)?;
        // It appears in one step, whole.
        let work = tempfile::tempdir_in(&models).context("cannot write to target")?;
        let staged = work.path().join("model");
        fs::create_dir(&staged)?;
        self.write(&staged, 0)?;
        fs::rename(&staged, &kept).with_context(|| format!("cannot make {}", kept.display()))?;
        Ok(kept)
    }

    /// Writes the model, a tensor at a time, with positions for so many tokens
    /// or for its usual number, if that is more.
    pub(crate) fn write(self, directory: &Path, tokens: usize) -> anyhow::Result<()> {
        let (config, tensors) = match self {
            Self::Gpt2 => self.gpt2(tokens.max(GPT2_POSITIONS)),
            Self::Marian => self.marian(tokens.max(GPT2_POSITIONS / 2)),
            _ => {
                let tokenizer = tokenizer(self.vocabulary());
                fs::write(directory.join("tokenizer.json"), tokenizer.to_string())?;
                self.bert(tokens.max(GPT2_POSITIONS / 2))
            }
        };
        fs::write(directory.join("config.json"), config.to_string())?;
        let path = directory.join("model.safetensors");
        safetensors::serialize_to_file(tensors.0, None, &path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn bert(self, positions: usize) -> (Value, Tensors) {
        let (d_model, d_ff) = (self.d_model(), self.d_ff());
        let config = json!({
            "model_type": "bert",
            "vocab_size": self.vocabulary(),
            "hidden_size": d_model,
            "num_hidden_layers": self.layers(),
            "num_attention_heads": self.heads(),
            "intermediate_size": d_ff,
            "max_position_embeddings": positions,
            "type_vocab_size": 2,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
        });
        let mut tensors = Tensors::default();
        let embeddings = [
            ("word_embeddings", self.vocabulary()),
            ("position_embeddings", positions),
            ("token_type_embeddings", 2),
        ];
        for (name, rows) in embeddings {
            tensors.add(format!("embeddings.{name}.weight"), &[rows, d_model]);
        }
        tensors.norm("embeddings.LayerNorm", d_model);
        for layer in 0..self.layers() {
            let layer = format!("encoder.layer.{layer}");
            for (name, rows, columns) in [
                ("attention.self.query", d_model, d_model),
                ("attention.self.key", d_model, d_model),
                ("attention.self.value", d_model, d_model),
                ("attention.output.dense", d_model, d_model),
                ("intermediate.dense", d_ff, d_model),
                ("output.dense", d_model, d_ff),
            ] {
                tensors.add(format!("{layer}.{name}.weight"), &[rows, columns]);
                tensors.add(format!("{layer}.{name}.bias"), &[rows]);
            }
            tensors.norm(&format!("{layer}.attention.output.LayerNorm"), d_model);
            tensors.norm(&format!("{layer}.output.LayerNorm"), d_model);
        }
        (config, tensors)
    }

    fn marian(self, positions: usize) -> (Value, Tensors) {
        let (d_model, d_ff, padding) = (self.d_model(), self.d_ff(), self.vocabulary() - 1);
        let config = json!({
            "model_type": "marian",
            "vocab_size": self.vocabulary(),
            "d_model": d_model,
            "encoder_layers": self.layers(),
            "decoder_layers": self.layers(),
            "encoder_attention_heads": self.heads(),
            "decoder_attention_heads": self.heads(),
            "encoder_ffn_dim": d_ff,
            "decoder_ffn_dim": d_ff,
            "max_position_embeddings": positions,
            "activation_function": "swish",
            "scale_embedding": true,
            "pad_token_id": padding,
            "eos_token_id": 0,
            "decoder_start_token_id": padding,
        });
        let mut tensors = Tensors::default();
        tensors.add(
            "model.shared.weight".to_owned(),
            &[self.vocabulary(), d_model],
        );
        for (stack, blocks) in [
            ("encoder", &["self_attn"][..]),
            ("decoder", &["self_attn", "encoder_attn"]),
        ] {
            for layer in 0..self.layers() {
                let layer = format!("model.{stack}.layers.{layer}");
                let mut linear = |name: &str, rows, columns| {
                    tensors.add(format!("{layer}.{name}.weight"), &[rows, columns]);
                    tensors.add(format!("{layer}.{name}.bias"), &[rows]);
                };
                for block in blocks {
                    for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                        linear(&format!("{block}.{projection}"), d_model, d_model);
                    }
                }
                linear("fc1", d_ff, d_model);
                linear("fc2", d_model, d_ff);
                for block in blocks {
                    tensors.norm(&format!("{layer}.{block}_layer_norm"), d_model);
                }
                tensors.norm(&format!("{layer}.final_layer_norm"), d_model);
            }
        }
        (config, tensors)
    }

    fn gpt2(self, positions: usize) -> (Value, Tensors) {
        let (d_model, d_ff) = (self.d_model(), self.d_ff());
        let config = json!({
            "model_type": "gpt2",
            "vocab_size": self.vocabulary(),
            "n_embd": d_model,
            "n_layer": self.layers(),
            "n_head": self.heads(),
            "n_positions": positions,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
        });
        let mut tensors = Tensors::default();
        tensors.add("wte.weight".to_owned(), &[self.vocabulary(), d_model]);
        tensors.add("wpe.weight".to_owned(), &[positions, d_model]);
        for layer in 0..self.layers() {
            // Matrices of GPT-2 are stored the other way round.
            for (name, input, output) in [
                ("attn.c_attn", d_model, 3 * d_model),
                ("attn.c_proj", d_model, d_model),
                ("mlp.c_fc", d_model, d_ff),
                ("mlp.c_proj", d_ff, d_model),
            ] {
                tensors.add(format!("h.{layer}.{name}.weight"), &[input, output]);
                tensors.add(format!("h.{layer}.{name}.bias"), &[output]);
            }
            tensors.norm(&format!("h.{layer}.ln_1"), d_model);
            tensors.norm(&format!("h.{layer}.ln_2"), d_model);
        }
        tensors.norm("ln_f", d_model);
        (config, tensors)
    }
}

/// A made-up word: the letters of a number.
fn word(index: usize) -> String {
    let letters = (0..4).map(|place| (b'a' + (index / 26_usize.pow(place) % 26) as u8) as char);
    letters.collect()
}

/// A text of random words, each one token.
pub(crate) fn text(words: usize, random: &mut fastrand::Rng) -> String {
    let vocabulary = Shape::Minilm.vocabulary() - SPECIAL.len();
    let words = (0..words).map(|_| word(random.usize(..vocabulary)));
    words.collect::<Vec<_>>().join(" ")
}

/// A WordPiece tokenizer of BERT's kind and size.
fn tokenizer(vocabulary: usize) -> Value {
    let added = SPECIAL.iter().enumerate().map(|(id, content)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        })
    });
    let made_up = (0..vocabulary - SPECIAL.len()).map(word);
    let words = SPECIAL.iter().map(|&special| special.to_owned());
    let vocab: serde_json::Map<_, _> = (words.chain(made_up).enumerate())
        .map(|(id, word)| (word, id.into()))
        .collect();
    let special = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let text = |id: &str, type_id: u8| json!({ "Sequence": { "id": id, "type_id": type_id } });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), text("A", 0), special("[SEP]")],
            "pair": [
                special("[CLS]"), text("A", 0), special("[SEP]"), text("B", 1),
                { "SpecialToken": { "id": "[SEP]", "type_id": 1 } },
            ],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] },
            },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    })
}

#[derive(Default)]
struct Tensors(Vec<(String, Random)>);

impl Tensors {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.push(name, shape, 0.0);
    }

    fn norm(&mut self, name: &str, length: usize) {
        self.push(format!("{name}.weight"), &[length], 1.0);
        self.push(format!("{name}.bias"), &[length], 0.0);
    }

    fn push(&mut self, name: String, shape: &[usize], center: f32) {
        let random = Random {
            shape: shape.to_vec(),
            center,
            seed: self.0.len() as u64,
        };
        self.0.push((name, random));
    }
}

/// A float32 tensor that exists only while it is written.
struct Random {
    shape: Vec<usize>,
    center: f32,
    seed: u64,
}

impl View for Random {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // A spread of 0.02, as BERT is initialised with.
        let half_width = 0.02 * 3.0_f32.sqrt();
        let mut random = fastrand::Rng::with_seed(self.seed);
        let count = self.shape.iter().product();
        let values = (0..count)
            .flat_map(|_| (self.center + half_width * (2.0 * random.f32() - 1.0)).to_le_bytes());
        Cow::Owned(values.collect())
    }

    fn data_len(&self) -> usize {
        4 * self.shape.iter().product::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use headwater::{Analyzer, Input};

    use super::*;

    #[test]
    fn every_word_of_a_text_is_a_token_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        Shape::Minilm.write(directory.path(), 0).unwrap();
        let analyzer = Analyzer::from_pretrained(directory.path().to_str().unwrap()).unwrap();
        let text = text(9, &mut fastrand::Rng::with_seed(0));
        let encoded = analyzer.encode(&Input::from(text)).unwrap();
        assert_eq!(encoded.len(), 11);
        assert!(!encoded.tokens.contains(&"[UNK]".to_owned()));
        let layers = analyzer.model().layers().len();
        assert_eq!(layers, Shape::Minilm.layers());
    }
}
