//! Checkpoints that another library wrote, one a family.

use std::path::Path;

use headwater_checkpoint::wiring::{
    AttentionSpec, Band, Counting, EmbeddingSpec, FeedForwardSpec, LayerSpec, Layers, NormSpec,
    PlainSpec, Positions, Projection, Sublayer, Wiring,
};
use headwater_checkpoint::{Activation, Architecture, Arrangement, Checkpoint};

/// Opens a fixture, reads every parameter, and lists the names of what is unused.
fn open(family: &str) -> (Checkpoint, Vec<String>) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    let checkpoint = Checkpoint::open_directory(fixtures.join(family)).unwrap();
    for parameter in checkpoint.parameters() {
        let tensor = checkpoint.read(&parameter.name).unwrap();
        assert_eq!(tensor.shape, parameter.shape);
        assert_eq!(
            tensor.to_f32().len(),
            parameter.shape.iter().product::<usize>()
        );
    }
    let unused = checkpoint
        .unused()
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    (checkpoint, unused)
}

/// The name in the file of a parameter.
fn name_in_file<'a>(checkpoint: &'a Checkpoint, canonical: &str) -> &'a str {
    let parameter = checkpoint.parameters().iter().find(|p| p.name == canonical);
    &parameter.unwrap().name_in_file
}

/// A fixture's layers, with norms behind sublayers, or before them in a decoder.
fn layers(is_decoder: bool, epsilon: f64, activation: Activation) -> Layers {
    let norm = NormSpec::layer(epsilon);
    let attention = AttentionSpec {
        band: if is_decoder { Band::CAUSAL } else { Band::ALL },
        ..AttentionSpec::new(4, 8)
    };
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(FeedForwardSpec::Plain(PlainSpec::new(64, activation))),
    ];
    let layer = match is_decoder {
        true => LayerSpec::pre_norm(norm, sublayers),
        false => LayerSpec::post_norm(norm, sublayers),
    };
    Layers::alike(3, layer)
}

/// An encoder with 40 positions and normalized embeddings.
fn encoder(epsilon: f64, activation: Activation, token_types: usize) -> Wiring {
    Wiring {
        embeddings: EmbeddingSpec {
            token_types,
            norm: Some(NormSpec::layer(epsilon)),
            ..EmbeddingSpec::learned(32, 40, 0)
        },
        layers: layers(false, epsilon, activation),
        final_norm: None,
        head: None,
    }
}

/// A decoder with 40 positions behind some rows that no token takes.
fn decoder(activation: Activation, first: usize) -> Wiring {
    Wiring {
        embeddings: EmbeddingSpec::learned(32, 40, first),
        layers: layers(true, 1e-5, activation),
        final_norm: Some(NormSpec::layer(1e-5)),
        head: None,
    }
}

fn architecture(model_type: &str, pad_token_id: u32, wiring: Wiring) -> Architecture {
    Architecture::new(model_type, [120, 32], pad_token_id, wiring)
}

/// Elements in the layers, which are alike in all.
const IN_LAYERS: usize = 3 * (4 * (32 * 32 + 32) + 2 * 64 * 32 + 64 + 32 + 4 * 32);

#[test]
fn bert_below_a_masked_language_model() {
    let (checkpoint, unused) = open("bert");
    let expected = architecture("bert", 0, encoder(1e-12, Activation::Gelu, 2));
    assert_eq!(checkpoint.architecture(), &expected);
    assert_eq!(expected.arrangement, Arrangement::PostLn);
    assert_eq!(
        checkpoint.parameter_count(),
        (120 + 40 + 2 + 2) * 32 + IN_LAYERS
    );
    let head = [
        "cls.predictions.bias",
        "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.dense.weight",
    ];
    assert_eq!(unused, head);
}

#[test]
fn roberta_with_positions_behind_the_padding() {
    let (checkpoint, unused) = open("roberta");
    let mut wiring = encoder(1e-5, Activation::Gelu, 1);
    wiring.embeddings.positions = Positions::Learned {
        rows: 42,
        first: 2,
        counting: Counting::Unpadded,
    };
    let expected = architecture("roberta", 1, wiring);
    assert_eq!(checkpoint.architecture(), &expected);
    assert_eq!(
        checkpoint.parameter_count(),
        (120 + 42 + 1 + 2) * 32 + IN_LAYERS
    );
    assert_eq!(unused, ["pooler.dense.bias", "pooler.dense.weight"]);
}

#[test]
fn distilbert_without_token_types() {
    let (checkpoint, unused) = open("distilbert");
    let expected = architecture("distilbert", 0, encoder(1e-12, Activation::Gelu, 0));
    assert_eq!(checkpoint.architecture(), &expected);
    assert_eq!(
        checkpoint.parameter_count(),
        (120 + 40 + 2) * 32 + IN_LAYERS
    );
    assert!(!checkpoint.has("embeddings.token_type.weight"));
    let head = [
        "vocab_layer_norm.bias",
        "vocab_layer_norm.weight",
        "vocab_projector.bias",
        "vocab_transform.bias",
        "vocab_transform.weight",
    ];
    assert_eq!(unused, head);

    // Four of its matrices have one shape, so only names tell them apart.
    let names = [
        ("attention.query.weight", "attention.q_lin.weight"),
        ("attention.key.weight", "attention.k_lin.weight"),
        ("attention.value.weight", "attention.v_lin.weight"),
        ("attention.output.weight", "attention.out_lin.weight"),
        ("attention_norm.weight", "sa_layer_norm.weight"),
        ("feed_forward.up.bias", "ffn.lin1.bias"),
        ("feed_forward.down.bias", "ffn.lin2.bias"),
        ("feed_forward_norm.bias", "output_layer_norm.bias"),
    ];
    for (canonical, name) in names {
        let in_file = name_in_file(&checkpoint, &format!("layers.2.{canonical}"));
        assert_eq!(
            in_file.strip_prefix("distilbert.transformer.layer.2."),
            Some(name)
        );
    }
}

#[test]
fn electra_with_narrow_embeddings() {
    let (checkpoint, unused) = open("electra");
    let mut wiring = encoder(1e-12, Activation::GeluTanh, 2);
    wiring.embeddings.width = 20;
    let expected = architecture("electra", 0, wiring);
    assert_eq!(checkpoint.architecture(), &expected);
    assert_eq!(
        checkpoint
            .read("embeddings.projection.weight")
            .unwrap()
            .shape,
        [32, 20]
    );
    let embeddings = (120 + 40 + 2 + 2) * 20 + 32 * 20 + 32;
    assert_eq!(checkpoint.parameter_count(), embeddings + IN_LAYERS);
    let head = [
        "discriminator_predictions.dense.bias",
        "discriminator_predictions.dense.weight",
        "discriminator_predictions.dense_prediction.bias",
        "discriminator_predictions.dense_prediction.weight",
    ];
    assert_eq!(unused, head);
}

#[test]
fn gpt2_with_fused_attention() {
    let (checkpoint, unused) = open("gpt2");
    let expected = architecture("gpt2", 0, decoder(Activation::GeluTanh, 0));
    assert_eq!(expected.arrangement, Arrangement::PreLn);
    assert_eq!(checkpoint.architecture(), &expected);
    // The three parts of a fused tensor add up to it.
    let elements = (120 + 40 + 2) * 32 + IN_LAYERS;
    assert_eq!(checkpoint.parameter_count(), elements);
    assert_eq!(unused, [""; 0]);
    for absent in [
        "embeddings.norm.weight",
        "embeddings.token_type.weight",
        "layers.3.attention_norm.weight",
    ] {
        assert!(!checkpoint.has(absent), "{absent}");
    }

    let names = [
        ("embeddings.word.weight", "wte.weight"),
        ("embeddings.position.weight", "wpe.weight"),
        ("layers.2.attention_norm.weight", "h.2.ln_1.weight"),
        ("layers.2.attention.query.weight", "h.2.attn.c_attn.weight"),
        ("layers.2.attention.key.weight", "h.2.attn.c_attn.weight"),
        ("layers.2.attention.value.bias", "h.2.attn.c_attn.bias"),
        ("layers.2.attention.output.weight", "h.2.attn.c_proj.weight"),
        ("layers.2.feed_forward_norm.bias", "h.2.ln_2.bias"),
        ("layers.2.feed_forward.up.weight", "h.2.mlp.c_fc.weight"),
        ("layers.2.feed_forward.down.weight", "h.2.mlp.c_proj.weight"),
        ("final_norm.bias", "ln_f.bias"),
    ];
    for (canonical, name) in names {
        let in_file = name_in_file(&checkpoint, canonical);
        assert_eq!(in_file.strip_prefix("transformer."), Some(name));
    }
}

#[test]
fn opt_with_positions_from_row_two() {
    let (checkpoint, unused) = open("opt");
    let mut wiring = decoder(Activation::Relu, 2);
    wiring.embeddings.projection = Projection::OfWords;
    let expected = architecture("opt", 1, wiring);
    assert_eq!(checkpoint.architecture(), &expected);
    let elements = (120 + 42 + 2) * 32 + IN_LAYERS;
    assert_eq!(checkpoint.parameter_count(), elements);
    assert_eq!(unused, [""; 0]);

    // Two normalizations have one name, and only the place tells them apart.
    let names = [
        ("embeddings.word.weight", "embed_tokens.weight"),
        ("embeddings.position.weight", "embed_positions.weight"),
        (
            "layers.2.attention_norm.bias",
            "layers.2.self_attn_layer_norm.bias",
        ),
        (
            "layers.2.attention.query.weight",
            "layers.2.self_attn.q_proj.weight",
        ),
        (
            "layers.2.attention.key.weight",
            "layers.2.self_attn.k_proj.weight",
        ),
        (
            "layers.2.attention.value.weight",
            "layers.2.self_attn.v_proj.weight",
        ),
        (
            "layers.2.attention.output.weight",
            "layers.2.self_attn.out_proj.weight",
        ),
        (
            "layers.2.feed_forward_norm.bias",
            "layers.2.final_layer_norm.bias",
        ),
        ("layers.2.feed_forward.up.bias", "layers.2.fc1.bias"),
        ("layers.2.feed_forward.down.bias", "layers.2.fc2.bias"),
        ("final_norm.bias", "final_layer_norm.bias"),
    ];
    for (canonical, name) in names {
        let in_file = name_in_file(&checkpoint, canonical);
        assert_eq!(in_file.strip_prefix("model.decoder."), Some(name));
    }
}
