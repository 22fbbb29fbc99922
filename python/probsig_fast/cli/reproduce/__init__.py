"""`probsig reproduce`: the paper's experiments, rerun; a module an experiment."""

from __future__ import annotations

import argparse

from . import composite_addition, language_model

DESCRIPTION = """\
Rerun an experiment of arXiv 2509.20124: train small models on data whose counts are known, and see
how far the geometry of their embeddings follows the probability signatures.
"""
EPILOG = """\
examples:
  probsig reproduce composite-addition
  probsig reproduce language-model
  probsig reproduce language-model --help
"""

_EXPERIMENTS = (composite_addition, language_model)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    experiments = parser.add_subparsers(title="experiments", metavar="EXPERIMENT")
    for experiment in _EXPERIMENTS:
        added = experiments.add_parser(
            experiment.NAME,
            help=experiment.SUMMARY,
            description=experiment.DESCRIPTION,
            epilog=experiment.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        experiment.add_arguments(added)
        # Behind the experiment too; without a default it leaves one given before it alone.
        added.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        added.set_defaults(experiment=experiment.run)


def run(arguments: argparse.Namespace) -> int:
    if "experiment" not in arguments:
        arguments.parser.print_help()
        return 2
    arguments.experiment(arguments)
    return 0
