//! `headwater models`: what can be read, and how far it is checked.

use std::process::ExitCode;

use headwater::Segment;
use headwater::checkpoint::Activation;
use headwater::checkpoint::wiring::{
    AttentionSpec, BlockSpec, FeedForwardSpec, LayerSpec, NormSpec, PlainSpec, Reads, Sublayer,
};
use serde::Serialize;

use crate::args::ModelsArgs;
use crate::output::{self, HEADING};

/// What the layers of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Encoder,
    Decoder,
    EncoderDecoder,
}

/// Where the norms of a layer stand, and how its blocks follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// A norm behind each residual connection.
    Behind,
    /// A norm before each sublayer.
    Before,
    /// The same, with both blocks reading the layer's input.
    Beside,
    /// A norm before each sublayer and one on its output.
    Around,
    /// A norm on the output of each sublayer.
    OnOutput,
}

/// One model type and what its numbers are compared with.
#[derive(Debug)]
struct Support {
    /// `model_type` in `config.json`.
    model_type: &'static str,
    kind: Kind,
    order: Order,
    /// Whether a small random model of the type is compared, array by array,
    /// with Hugging Face transformers and a naive float64 program.
    golden: bool,
    /// Trained models that tests or `cargo xtask accuracy` run.
    trained: &'static [&'static str],
    note: &'static str,
}

const fn support(model_type: &'static str, kind: Kind, order: Order) -> Support {
    Support {
        model_type,
        kind,
        order,
        golden: false,
        trained: &[],
        note: "",
    }
}

const SUPPORT: [Support; 33] = [
    Support {
        golden: true,
        trained: &["bundled-bert", "all-MiniLM-L6-v2"],
        ..support("bert", Kind::Encoder, Order::Behind)
    },
    Support {
        golden: true,
        ..support("roberta", Kind::Encoder, Order::Behind)
    },
    Support {
        note: "read as roberta",
        ..support("xlm-roberta", Kind::Encoder, Order::Behind)
    },
    Support {
        note: "read as roberta",
        ..support("camembert", Kind::Encoder, Order::Behind)
    },
    Support {
        golden: true,
        ..support("distilbert", Kind::Encoder, Order::Behind)
    },
    Support {
        golden: true,
        ..support("electra", Kind::Encoder, Order::Behind)
    },
    Support {
        golden: true,
        ..support("modernbert", Kind::Encoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("xlm-roberta-xl", Kind::Encoder, Order::Before)
    },
    Support {
        golden: true,
        trained: &["bundled-gpt2"],
        ..support("gpt2", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        note: "350M: post-LN",
        ..support("opt", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("gpt_neo", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("gptj", Kind::Decoder, Order::Beside)
    },
    Support {
        golden: true,
        note: "or pre-LN",
        ..support("gpt_neox", Kind::Decoder, Order::Beside)
    },
    Support {
        golden: true,
        note: "or pre-LN",
        ..support("falcon", Kind::Decoder, Order::Beside)
    },
    Support {
        golden: true,
        ..support("bloom", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        trained: &["bundled-llama"],
        ..support("llama", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("mistral", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("qwen2", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("qwen3", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("gemma", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("gemma2", Kind::Decoder, Order::Around)
    },
    Support {
        golden: true,
        ..support("gemma3_text", Kind::Decoder, Order::Around)
    },
    Support {
        golden: true,
        ..support("olmo2", Kind::Decoder, Order::OnOutput)
    },
    Support {
        golden: true,
        ..support("olmo3", Kind::Decoder, Order::OnOutput)
    },
    Support {
        golden: true,
        ..support("phi3", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("smollm3", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("cohere", Kind::Decoder, Order::Beside)
    },
    Support {
        golden: true,
        ..support("mixtral", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("qwen3_moe", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        ..support("gpt_oss", Kind::Decoder, Order::Before)
    },
    Support {
        golden: true,
        trained: &["bundled-marian"],
        ..support("marian", Kind::EncoderDecoder, Order::Behind)
    },
    Support {
        golden: true,
        ..support("bart", Kind::EncoderDecoder, Order::Behind)
    },
    Support {
        golden: true,
        ..support("mbart", Kind::EncoderDecoder, Order::Before)
    },
];

/// What `--json` prints of a model type.
#[derive(Serialize)]
struct Entry {
    model_type: &'static str,
    kind: Kind,
    arrangement: &'static str,
    /// Of the encoder, if there is a decoder too.
    scopes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoder_scopes: Option<Vec<&'static str>>,
    golden: bool,
    trained: &'static [&'static str],
    note: &'static str,
}

impl Support {
    fn entry(&self) -> Entry {
        Entry {
            model_type: self.model_type,
            kind: self.kind,
            arrangement: layer(self.order, false).label(),
            scopes: slugs(&layer(self.order, false)),
            decoder_scopes: (self.kind == Kind::EncoderDecoder)
                .then(|| slugs(&layer(self.order, true))),
            golden: self.golden,
            trained: self.trained,
            note: self.note,
        }
    }
}

/// A layer of this order, of any size.
fn layer(order: Order, cross: bool) -> LayerSpec {
    let attention = AttentionSpec::new(1, 1);
    let cross = cross.then(|| Sublayer::CrossAttention(attention.clone()));
    let plain = FeedForwardSpec::Plain(PlainSpec::new(1, Activation::Gelu));
    let sublayers = [Some(Sublayer::Attention(attention)), cross]
        .into_iter()
        .chain([Some(Sublayer::FeedForward(plain))])
        .flatten();
    let norm = NormSpec::layer(1e-5);
    let block = |(number, sublayer)| {
        let block = BlockSpec::new(sublayer);
        match order {
            Order::Behind => block.behind(norm),
            Order::Before => block.before(norm),
            Order::Beside if number == 0 => block.before(norm),
            Order::Beside => block.before(norm).reading(Reads::LayerInput),
            Order::Around => block.before(norm).output(norm),
            Order::OnOutput => block.output(norm),
        }
    };
    LayerSpec {
        blocks: sublayers.enumerate().map(block).collect(),
    }
}

fn slugs(layer: &LayerSpec) -> Vec<&'static str> {
    let scopes = Segment::of(layer).iter().flat_map(|s| s.scopes(layer));
    scopes.map(|scope| scope.slug()).collect()
}

pub(crate) fn run(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let entries: Vec<Entry> = SUPPORT.iter().map(Support::entry).collect();
    output::print(|out| {
        if args.json {
            serde_json::to_writer_pretty(&mut *out, &entries)?;
            writeln!(out)
        } else {
            out.write_all(table(&entries).as_bytes())
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn table(entries: &[Entry]) -> String {
    let mut lines = vec![format!(
        "{HEADING}{:<14} {:<16} {:<14} {:<7} trained models run{HEADING:#}",
        "model type", "kind", "layers", "golden"
    )];
    for entry in entries {
        let kind = match entry.kind {
            Kind::Encoder => "encoder",
            Kind::Decoder => "decoder",
            Kind::EncoderDecoder => "encoder-decoder",
        };
        let golden = if entry.golden { "yes" } else { "-" };
        let last = match (entry.trained, entry.note) {
            ([], "") => "-".to_owned(),
            ([], note) => note.to_owned(),
            (trained, _) => trained.join(", "),
        };
        lines.push(format!(
            "{:<14} {kind:<16} {:<14} {golden:<7} {last}",
            entry.model_type, entry.arrangement
        ));
    }
    lines.push(
        "\ngolden: every array of a small random model is compared with Hugging Face transformers\n\
         and a naive float64 program. The model type is \"model_type\" in config.json."
            .to_owned(),
    );
    let mut shown: Vec<&str> = Vec::new();
    for arrangement in entries.iter().map(|entry| entry.arrangement) {
        if shown.contains(&arrangement) {
            continue;
        }
        shown.push(arrangement);
        let mut alike = entries
            .iter()
            .filter(|entry| entry.arrangement == arrangement);
        let decoder = alike
            .clone()
            .find_map(|entry| entry.decoder_scopes.as_ref());
        if let Some(entry) = alike.next() {
            lines.push(format!(
                "\n{HEADING}scopes, {arrangement}{HEADING:#}\n  {}",
                entry.scopes.join(", ")
            ));
        }
        if let Some(scopes) = decoder {
            let (own, cross): (Vec<&str>, Vec<&str>) =
                scopes.iter().partition(|scope| !scope.starts_with("cross"));
            lines.push(format!(
                "  in a decoder with an encoder: {}",
                own.join(", ")
            ));
            // The names are long.
            lines.extend(
                cross
                    .chunks(3)
                    .map(|cross| format!("  {}", cross.join(", "))),
            );
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_type_has_its_line() {
        let listed: Vec<&str> = SUPPORT.iter().map(|support| support.model_type).collect();
        let read: Vec<&str> = headwater::checkpoint::model_types().collect();
        assert_eq!(listed, read);
    }
}
