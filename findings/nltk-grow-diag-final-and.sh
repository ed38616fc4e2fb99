#!/usr/bin/env bash
# NLTK 3.10.4: nltk.translate.gdfa.grow_diag_final_and gives the union of the two
# directions, whatever they are. The heuristic of that name (Koehn, Och and Marcu 2003;
# Moses' symal) leaves out links whose words have one already.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install nltk==3.10.4
"$folder/venv/bin/python" - <<'PYTHON'
import random

import nltk
from nltk.translate.gdfa import grow_diag_final_and

print("nltk", nltk.__version__)
rng = random.Random(1)
text = lambda links: " ".join(f"{s}-{t}" for s, t in sorted(links))
cases = 500
unions = 0
for _ in range(cases):
    sources, targets = rng.randint(2, 7), rng.randint(2, 7)
    forward = {(rng.randrange(sources), t) for t in range(targets) if rng.random() < 0.8}
    backward = {(s, rng.randrange(targets)) for s in range(sources) if rng.random() < 0.8}
    found = set(grow_diag_final_and(sources, targets, text(forward), text(backward)))
    unions += found == forward | backward

# Both words of 0-3 have links already, and no neighbour: the heuristic leaves it out.
forward, backward = "0-0 1-1 2-2 0-3", "0-0 1-1 2-2 3-3"
found = grow_diag_final_and(4, 4, forward, backward)
print(f"forward {forward}, backward {backward}: {text(found)}; symal gives 0-0 1-1 2-2 3-3")
print(f"the union in {unions} of {cases} random pairs")
assert (0, 3) in found and unions == cases, "NLTK has changed"
PYTHON
