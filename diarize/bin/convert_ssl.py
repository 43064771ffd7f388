"""diarize-convert-ssl: convert a checkpoint of wav2vec 2.0, HuBERT, XLS-R, MMS or WavLM.

The convolutional layers alone by default, a few MB, for the front-end ssl_conv; with --full the
Transformer as well, for ssl_full.  Ends with the section of the configuration that fits the
file.  Examples:
  diarize-convert-ssl --weights torchaudio:MMS_FA --cache downloads --out mms_conv.pth
  diarize-convert-ssl --weights wavlm/model.safetensors --full --out wavlm.pth
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diarize.bin.common import command_parser, run_command
from diarize.errors import DiarizeError

if TYPE_CHECKING:
    from torch import Tensor


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser("diarize-convert-ssl", __doc__)
    add = parser.add_argument
    add("--weights", required=True, metavar="FILE|torchaudio:NAME",
        help="checkpoint with the names of fairseq, Hugging Face (also .safetensors) or torchaudio")
    add("--cache", metavar="DIR", help="directory for the download of torchaudio:NAME")
    add("--full", action="store_true", help="convert the Transformer as well, for ssl_full")
    add("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write (.pth)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    return run_command(lambda: convert(args), parser.prog)


def convert(args: argparse.Namespace) -> None:
    """Write the weights of ``args.weights``, checked, to ``args.out``."""
    import yaml

    from diarize.features.ssl_weights import read_state, section_of
    from diarize.train.checkpoint import save_model

    state = read_state(args.weights, args.cache)
    section = section_of(state)
    conv = {"weights": str(args.out), **section.pop("conv", {})}
    out = (full_state if args.full else conv_state)(args.weights, state, conv, section)
    save_model(args.out, out, {"source": args.weights})
    count = sum(tensor.numel() for tensor in out.values())
    print(f"{args.out}: {len(out)} tensors, {count} parameters; the section of the configuration:")
    name, fitting = ("ssl_full", {"conv": conv, **section}) if args.full else ("ssl_conv", conv)
    print(yaml.safe_dump({"front_end": name, name: fitting}, sort_keys=False), end="")


def conv_state(
    weights: str, state: dict[str, "Tensor"], conv: dict[str, Any], _: dict[str, Any]
) -> dict[str, "Tensor"]:
    """Return the convolutional layers in ``state``, checked against the options ``conv``."""
    from diarize.features.ssl_conv import SslConv, SslConvOptions

    layers = SslConv(SslConvOptions(**{**conv, "weights": weights}))
    layers.load_tensors(state)
    kept = layers.conv_layers.state_dict().items()
    return {f"feature_extractor.conv_layers.{key}": value for key, value in kept}


def full_state(
    weights: str, state: dict[str, "Tensor"], conv: dict[str, Any], sizes: dict[str, Any]
) -> dict[str, "Tensor"]:
    """Return both parts of the model in ``state``, checked against its ``sizes``."""
    from diarize.features.ssl_conv import SslConvOptions
    from diarize.features.ssl_full import SslFull, SslFullOptions
    from diarize.models.size import check_model_size

    # The Transformer is checked only if its sizes are known.
    options = SslFullOptions(SslConvOptions(**{**conv, "weights": weights}),
                             **(sizes or {"dim": 16, "layers": 1, "heads": 1}))  # fmt: skip
    check_model_size(options, weights)
    try:
        model = SslFull(options)
    except ValueError as err:  # sizes that do not fit one another
        raise DiarizeError(f"{weights}: no speech model of these sizes: {err}") from err
    model.load_tensors(state)
    kept = model.encoder.state_dict().items()
    return conv_state(weights, state, conv, sizes) | {f"encoder.{k}": v for k, v in kept}


if __name__ == "__main__":
    sys.exit(main())
