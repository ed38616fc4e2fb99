"""The other side of `cargo xtask bench --against torch`.

Reads one JSON object a line from standard input, does what it says once, and
answers with one on standard output:

    {"load": DIRECTORY}                     {"torch": VERSION, ...}
    {"forward": [[ID, ...], ...]}           {"seconds": S, "peak": BYTES, "values": [...]}
    {"materialised": [[ID, ...], ...]}      likewise
    {"product": SIZE}                       likewise

`values` is what the other program compares with its own results; it is empty
unless the request has "compare": true.
"""

import json
import os
import sys
import time

# Nothing is looked up; must be set before the import.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


class Peak:
    """The largest resident set since the last reset, where the system can tell."""

    @staticmethod
    def reset():
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass

    @staticmethod
    def read():
        try:
            with open("/proc/self/status") as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return None


def load(directory):
    with open(os.path.join(directory, "config.json")) as file:
        model_type = json.load(file)["model_type"]
    if model_type == "bert":
        model = transformers.BertModel.from_pretrained(
            directory, attn_implementation="eager", add_pooling_layer=False
        )
    else:
        model = transformers.GPT2Model.from_pretrained(directory, attn_implementation="eager")
    return model.eval()


def forward(model, ids):
    # A decoder would keep keys and values for a next token that never comes.
    cache = {"use_cache": False} if is_causal(model) else {}
    return model(ids, **cache).last_hidden_state


def is_causal(model):
    return isinstance(model, transformers.GPT2Model)


def materialised(model, ids):
    """The attention block of every layer of a BERT, every part as a vector.

    The tensor of parts by head, [batch, head, target, source, d_model], is made
    and its norms are taken; parts are summed over heads, the residual is added
    to what a token keeps of itself, and the layer norm is applied to each part
    with the statistics of the real sum.
    """
    output = model(ids, output_attentions=True, output_hidden_states=True)
    results = []
    for layer, x, weights in zip(model.encoder.layer, output.hidden_states, output.attentions):
        attention = layer.attention
        batch, heads, tokens, _ = weights.shape
        d_model = x.shape[-1]
        value = attention.self.value(x).view(batch, tokens, heads, -1).transpose(1, 2)
        dense = attention.output.dense
        by_head = dense.weight.view(d_model, heads, -1).permute(1, 2, 0)
        transformed = value @ by_head
        weighted = weights.unsqueeze(-1) * transformed.unsqueeze(2)
        result = {
            "transformed_norms": transformed.norm(dim=-1),
            "weighted_norms": weighted.norm(dim=-1),
        }

        parts = weighted.sum(dim=1)
        del weighted
        total = parts.sum(dim=2) + dense.bias + x
        own = torch.arange(tokens)
        result["attn"] = measures(parts)
        parts[:, own, own] += x
        result["attn_res"] = measures(parts)
        norm = attention.output.LayerNorm
        scale = (total.var(dim=-1, unbiased=False) + norm.eps).sqrt()
        parts = parts - parts.mean(dim=-1, keepdim=True)
        parts = parts / scale[:, :, None, None] * norm.weight
        result["atb"] = measures(parts)
        results.append(result)
    return results


def measures(parts):
    """Norms of parts [batch, target, source, d_model] and mixing ratios."""
    kept = parts.diagonal(dim1=1, dim2=2).transpose(1, 2)
    mixing = (parts.sum(dim=2) - kept).norm(dim=-1)
    preserving = kept.norm(dim=-1)
    return parts.norm(dim=-1), mixing / (mixing + preserving)


def first_text(results):
    """Of each layer and scope the last target's norms and all mixing ratios."""
    values = []
    for result in results:
        for scope in ("attn", "attn_res", "atb"):
            norms, ratios = result[scope]
            values += norms[0, -1].tolist() + ratios[0].tolist()
    return values


def answer(request, state):
    if "load" in request:
        state["model"] = load(request["load"])
        return {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "threads": torch.get_num_threads(),
        }
    if "product" in request:
        size = request["product"]
        if "factors" not in state:
            state["factors"] = torch.rand(size, size) - 0.5, torch.rand(size, size) - 0.5
        a, b = state["factors"]
        work, values = lambda: a @ b.T, lambda result: []
    elif "forward" in request:
        ids = torch.tensor(request["forward"])
        work = lambda: forward(state["model"], ids)
        values = lambda result: result[0].flatten().tolist()
    else:
        ids = torch.tensor(request["materialised"])
        work = lambda: materialised(state["model"], ids)
        values = first_text
    Peak.reset()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    compare = request.get("compare", False)
    return {
        "seconds": seconds,
        "peak": Peak.read(),
        "values": values(result) if compare else [],
    }


def main():
    torch.set_num_threads(int(sys.argv[1]))
    state = {}
    with torch.inference_mode():
        for line in sys.stdin:
            try:
                reply = answer(json.loads(line), state)
            except Exception as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
