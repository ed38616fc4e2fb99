//! Checkpoints that another library wrote, one a family.

use std::path::Path;

use headwater_checkpoint::{Activation, Architecture, Arrangement, Checkpoint, Family, Positions};

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

/// What the other fixtures have in common with BERT's.
fn bert() -> Architecture {
    Architecture {
        family: Family::Bert,
        model_type: "bert".into(),
        vocab_size: 120,
        d_model: 32,
        d_embedding: 32,
        n_layers: 3,
        n_heads: 4,
        d_ff: 64,
        max_positions: 40,
        position_offset: 0,
        positions: Positions::Learned,
        embedding_scale: 1.0,
        token_types: 2,
        arrangement: Arrangement::PostLn,
        causal: false,
        cross_attention: false,
        layer_norm_eps: 1e-12,
        activation: Activation::Gelu,
        pad_token_id: 0,
    }
}

/// Elements in the layers, which are alike in all.
const IN_LAYERS: usize = 3 * (4 * (32 * 32 + 32) + 2 * 64 * 32 + 64 + 32 + 4 * 32);

#[test]
fn bert_below_a_masked_language_model() {
    let (checkpoint, unused) = open("bert");
    assert_eq!(checkpoint.architecture(), &bert());
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
    let expected = Architecture {
        family: Family::Roberta,
        model_type: "roberta".into(),
        position_offset: 2,
        positions: Positions::Learned,
        embedding_scale: 1.0,
        token_types: 1,
        layer_norm_eps: 1e-5,
        pad_token_id: 1,
        ..bert()
    };
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
    let expected = Architecture {
        family: Family::DistilBert,
        model_type: "distilbert".into(),
        token_types: 0,
        ..bert()
    };
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
    let expected = Architecture {
        family: Family::Electra,
        model_type: "electra".into(),
        d_embedding: 20,
        activation: Activation::GeluTanh,
        ..bert()
    };
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

/// What GPT-2's and OPT's fixtures have in common.
fn decoder() -> Architecture {
    Architecture {
        token_types: 0,
        arrangement: Arrangement::PreLn,
        causal: true,
        cross_attention: false,
        layer_norm_eps: 1e-5,
        ..bert()
    }
}

#[test]
fn gpt2_with_fused_attention() {
    let (checkpoint, unused) = open("gpt2");
    let expected = Architecture {
        family: Family::Gpt2,
        model_type: "gpt2".into(),
        activation: Activation::GeluTanh,
        ..decoder()
    };
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
    let expected = Architecture {
        family: Family::Opt,
        model_type: "opt".into(),
        position_offset: 2,
        activation: Activation::Relu,
        pad_token_id: 1,
        ..decoder()
    };
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
