"""Slowest parts of a training step, compared with packages of PyPI: see bench/train.py.

``torchaudio``: ``torchaudio.models.Conformer`` of the same sizes in place of this project's
encoder, forward and backward on the same frames, with a crop's lengths in the form that it requires
(with its normalisation of the batch and its attention with a mask for padding). ``loop``: the
matching as most public code for EEND and Mask2Former does it, a cost matrix at a time to the host
and to `scipy.optimize.linear_sum_assignment`. ``torch.optim.Muon``: on the matrices of the model of
egs/speechocean762, which it processes one by one. Both alternate; medians.
"""

import importlib.util
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from diarize.config import read_yaml
from diarize.losses.matcher import match
from diarize.models.eend_m2f import EendM2fOptions
from diarize.nn.conformer import Conformer
from diarize.tasks.registry import build_task, parse_config
from diarize.train.muon import Muon
from diarize.train.optim import make_optimizer

PEERS = ("torchaudio", "loop", "torch.optim.Muon")
MUON = Path(__file__).resolve().parent.parent / "egs/speechocean762/diar1/conf/train.yaml"
FRAMES = 500  # of a crop of 50 s, behind ConvDown
# Of the matching: recordings of a step on a GPU, speakers of each.
RECORDINGS, SPEAKERS = 128, (1, 2, 3, 4)
# Of the encoder: crops in a step.
CROPS = {"cpu": (1, 4), "cuda": (32, 128)}
Way = Callable[[], None]


def loop(cost: Tensor, num_speakers: list[int]) -> list[list[tuple[Tensor, Tensor]]]:
    """Return queries and their speakers by layer and recording, for ``cost`` (L, B, N, S)."""
    out = []
    for layer in cost:
        found = []
        for one, count in zip(layer, num_speakers, strict=True):
            pairs = linear_sum_assignment(one[:, :count].detach().cpu().numpy())
            found.append(tuple(torch.as_tensor(index, device=cost.device) for index in pairs))
        out.append(found)
    return out


def encoders(crops: int, device: torch.device) -> tuple[str, str, dict[str, Way]]:
    """Return name and words for forward and backward of either encoder, and their function."""
    from torchaudio.models import Conformer as Peer

    b = EendM2fOptions().backbone
    torch.manual_seed(0)
    mine: nn.Module = Conformer(b.dim, b.layers, b.heads, b.ff_dim, b.kernel, b.dropout)
    peer: nn.Module = Peer(b.dim, b.heads, b.ff_dim, b.layers, b.kernel, b.dropout)
    x = torch.randn(crops, FRAMES, b.dim, device=device, requires_grad=True)
    lengths = torch.full((crops,), FRAMES, device=device)
    sizes = [sum(p.numel() for p in model.to(device).parameters()) for model in (mine, peer)]

    def way(call: Callable[[], Tensor], model: nn.Module) -> Way:
        def run() -> None:
            model.zero_grad(set_to_none=True)
            call().square().mean().backward()

        return run

    ways = {
        "ours": way(lambda: mine(x), mine),
        "torchaudio": way(lambda: peer(x, lengths)[0], peer),
    }
    millions = " and ".join(f"{size / 1e6:.1f}" for size in sizes)
    what = f"encoder, {crops} x {FRAMES} frames, {millions} M parameters"
    return f"encoder_{crops}", what, ways


def matchings(device: torch.device) -> tuple[str, str, dict[str, Way]]:
    """Return the same for matching random costs of all layers, after a look that both agree."""
    d = EendM2fOptions().decoder
    counts = [SPEAKERS[i % len(SPEAKERS)] for i in range(RECORDINGS)]
    layers = d.layers + 1
    torch.manual_seed(0)
    cost = torch.randn(layers, RECORDINGS, d.queries, max(counts), device=device)
    # The columns of speakers that a recording does not have are 0, as `match` requires.
    for number, count in enumerate(counts):
        cost[:, number, :, count:] = 0
    mine = match(cost, counts)
    for layer, found in enumerate(loop(cost, counts)):
        for number, (queries, speakers) in enumerate(found):
            assert torch.equal(mine[layer, number, speakers], queries)
    ways = {"ours": lambda: match(cost, counts), "loop": lambda: loop(cost, counts)}
    what = f"matching, {layers} layers of {RECORDINGS} recordings, {d.queries} queries"
    return "matching", what, ways


def optimisers(device: torch.device) -> tuple[str, str, dict[str, Way]]:
    """Return the same for steps of Muon, after a check that both yield the same weights."""
    config = parse_config(read_yaml(MUON), str(MUON))
    model = build_task(config).model.to(device)
    weights = make_optimizer(model, config.train.optimizer, device).param_groups[0]["params"]
    gradients = [torch.randn_like(weight) for weight in weights]
    ways, sides = {}, []
    for name, kind, options in (
        ("ours", Muon, {}),
        ("torch.optim.Muon", torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"}),
    ):
        own = [nn.Parameter(weight.detach().clone()) for weight in weights]
        for weight, gradient in zip(own, gradients, strict=True):
            weight.grad = gradient.clone()
        sides.append(own)
        ways[name] = kind(own, lr=1e-3, weight_decay=0.0, **options).step
    for step in ways.values():
        step()
    apart = max((a - b).abs().max().item() for a, b in zip(*sides, strict=True))
    return "muon", f"Muon, {len(weights)} matrices (weights apart by {apart:.0e})", ways


def race(
    ways: dict[str, Way], rounds: int, clock: Callable[[], float], wait: Way
) -> dict[str, float]:
    """Return the median seconds of each way; they alternate, and the first round is left out."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            wait()
            begin = clock()
            way()
            wait()
            if number:
                times[name].append(clock() - begin)
    return {name: statistics.median(held) for name, held in times.items()}


def compare(
    peers: list[str], device: torch.device, rounds: int, clock: Callable[[], float], wait: Way
) -> None:
    """Print milliseconds of both sides, and one BENCH line a peer; those not here are named."""
    lines = []
    for peer in peers:
        if peer == "torchaudio" and importlib.util.find_spec("torchaudio") is None:
            print("left out: torchaudio (pip install -r bench/requirements.txt)")
            continue
        if peer == "torchaudio":
            found = [encoders(crops, device) for crops in CROPS[device.type]]
        else:
            found = [matchings(device) if peer == "loop" else optimisers(device)]
        for name, what, ways in found:
            medians = race(ways, rounds * (1 if peer == "torchaudio" else 20), clock, wait)
            mine, theirs = (1000 * medians[side] for side in ("ours", peer))
            print(f"{what}: ours {mine:.2f} ms, {peer} {theirs:.2f} ms")
            lines.append(f"BENCH name=train_{name}_{device.type} value={mine:.2f} unit=ms "
                         f"ratio={theirs / mine:.2f} against={peer}")
    print("\n".join(lines))
