#!/usr/bin/env bash
# captum 0.9.0: integrated gradients of a feed-forward block, with the parts of its input as
# inputs and zeros as baseline, keep the bias inside the block. They equal the closed form
# (g(p) − g(β)) / (p − β) with β the pre-activation of the bias alone. The closed form of
# Kobayashi et al. 2023, (g(p) − g(0)) / p, has the bias among the inputs, and differs.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install captum==0.9.0 torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import torch
from captum.attr import IntegratedGradients

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
sources, d_model, d_ff = 6, 8, 32
parts = torch.randn(sources, d_model)
bias = 0.3 * torch.randn(d_model)
w_1, b_1 = torch.randn(d_model, d_ff) / d_model**0.5, 0.3 * torch.randn(d_ff)
w_2, b_2 = torch.randn(d_ff, d_model) / d_ff**0.5, 0.3 * torch.randn(d_model)
g = torch.nn.functional.gelu

def block(batch):
    """[batch, source, d_model] → [batch, d_model]"""
    return g((batch.sum(1) + bias) @ w_1 + b_1) @ w_2 + b_2

gradients = IntegratedGradients(block)
columns = [
    gradients.attribute(
        parts[None], baselines=torch.zeros(1, sources, d_model), target=d,
        n_steps=200, method="gausslegendre",
    )[0].sum(-1)
    for d in range(d_model)
]
captum = torch.stack(columns, dim=-1)  # [source, d_model]

p = (parts.sum(0) + bias) @ w_1 + b_1
beta = bias @ w_1 + b_1
fixed = ((parts @ w_1) * (g(p) - g(beta)) / (p - beta)) @ w_2
player = ((parts @ w_1) * (g(p) - g(torch.zeros(()))) / p) @ w_2

def apart(found):
    return ((found - captum).norm(dim=-1) / captum.norm(dim=-1)).max().item()

print("captum", version("captum"), "torch", torch.__version__)
print(f"bias fixed: {apart(fixed):.1e} from captum's parts")
print(f"bias among the inputs: {apart(player):.1%} from them")
# captum keeps its steps in float32.
assert apart(fixed) < 1e-7, "captum has changed"
assert apart(player) > 0.01
PYTHON
