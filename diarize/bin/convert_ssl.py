"""diarize-convert-ssl: extract the convolutional layers of a wav2vec 2.0-type checkpoint.

Example: a few MB in place of 1.2 GB, used without internet access:
  diarize-convert-ssl --weights torchaudio:MMS_FA --cache downloads --out mms_conv.pth
"""

import argparse
import sys
from pathlib import Path

from diarize.bin.common import command_parser, run_command


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser("diarize-convert-ssl", __doc__)
    add = parser.add_argument
    add("--weights", required=True, metavar="FILE|torchaudio:NAME",
        help="checkpoint with the names of fairseq, Hugging Face (also .safetensors) or torchaudio")
    add("--cache", metavar="DIR", help="where the download of torchaudio:NAME is kept")
    add("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write (.pth)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    return run_command(lambda: convert(args), parser.prog)


def convert(args: argparse.Namespace) -> None:
    """Write the layers of ``args.weights``, checked, to ``args.out``."""
    from diarize.features.ssl_conv import SslConv, SslConvOptions
    from diarize.features.ssl_weights import read_state
    from diarize.train.checkpoint import save_model

    layers = SslConv(SslConvOptions(weights=args.weights, cache=args.cache))
    layers.load_tensors(read_state(args.weights, args.cache))
    state = {f"feature_extractor.{k}": v for k, v in layers.state_dict().items() if k != "filled"}
    save_model(args.out, state, {"source": args.weights})
    count = sum(tensor.numel() for tensor in state.values())
    print(f"{args.out}: {len(state)} tensors, {count} parameters")


if __name__ == "__main__":
    sys.exit(main())
