#!/usr/bin/env bash
# transformer-lens 4.3.0: ‖αf(x)‖ of a bridge as it is loaded is that of Kobayashi et al.
# 2020, f(x) = (LN(x) W_V + b_V) W_O. Its compatibility mode keeps attention weights and
# outputs, but moves the layer norm's β and b_V out of f and centres W_O: the same
# expression then has other values, as far as those of a random GPT-2 here by a tenth
# and more.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install \
    transformer-lens==4.3.0 transformers==5.24.0 torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import logging, os, warnings
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
import torch
import transformers
from importlib.metadata import version
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

torch.manual_seed(0)
config = transformers.GPT2Config(
    vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=4,
    bos_token_id=0, eos_token_id=0, attn_implementation="eager",
)
model = transformers.GPT2LMHeadModel(config).double().eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        spread = 0.3 if "ln_" in name else 0.1
        parameter.add_(spread * torch.randn_like(parameter))
ids = torch.tensor([[3, 14, 15, 9, 26, 5, 35, 8]])

# The paper's ‖α f(x)‖, f(x) = (LN(x) W_V + b_V) W_O, from the weights as they are in the file.
with torch.no_grad():
    output = model(ids, output_attentions=True, output_hidden_states=True)
    expected, weights = [], []
    for layer, block in enumerate(model.transformer.h):
        normed = block.ln_1(output.hidden_states[layer])[0]
        value = (normed @ block.attn.c_attn.weight + block.attn.c_attn.bias)[:, 64:]
        heads = value.view(8, 4, 8).transpose(0, 1)
        f = heads @ block.attn.c_proj.weight.view(4, 8, 32)
        weights.append(output.attentions[layer][0].clone())
        expected.append(weights[-1] * f.norm(dim=-1)[:, None, :])

def measured(bridge):
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids)
        for layer in range(2):
            pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0]
            value = cache[f"blocks.{layer}.attn.hook_v"][0]
            value = value.reshape(8, 4, 8).transpose(0, 1)
            f = value @ bridge.blocks[layer].attn.W_O.detach().reshape(4, 8, 32)
            norms = pattern * f.norm(dim=-1)[:, None, :]
            seen = pattern > 0
            yield (
                (pattern - weights[layer]).abs().max().item(),
                ((norms - expected[layer]).abs()[seen] / expected[layer][seen]).max().item(),
                ((norms - expected[layer]).abs()[seen] / expected[layer][seen]).mean().item(),
            )

def tell(name, found):
    for layer, (weights_off, largest, mean) in enumerate(found):
        print(f"{name}, layer {layer}: attention weights differ by {weights_off:.0e}, "
              f"norms by {mean:.1%} in the mean, {largest:.1%} at most")

print("transformer-lens", version("transformer-lens"), "transformers", transformers.__version__)
bridge = build_bridge_from_module(model, "GPT2LMHeadModel", hf_config=config)
loaded = list(measured(bridge))
tell("as loaded", loaded)
bridge.enable_compatibility_mode(disable_warnings=True)
compatible = list(measured(bridge))
tell("compatibility mode", compatible)
assert all(largest < 1e-12 for _, largest, _ in loaded), "the bridge has changed"
assert all(off < 1e-6 and mean > 0.02 for off, _, mean in compatible), "the mode has changed"
PYTHON
