"""A private copy of the files a cascade is loaded from.

ONNX Runtime maps external data into memory: a file that is overwritten or cut in place while it serves would end the
process (SIGBUS). So models are loaded from a copy that nobody else writes to. The copy is unlinked as soon as it is
loaded; what is mapped lives on until its session goes. Hashes are taken of the copy, so what was checked is what runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cascaderank.config import CascadeConfig
from cascaderank.errors import ModelError
from cascaderank.model import find_folder
from cascaderank.serve.private import private_folder


def model_folders(config: CascadeConfig) -> list[Path]:
    """The folder of each stage's model; raises ``ModelError`` for one that is not there."""
    return [find_folder(stage.model, config.base).resolve() for stage in config.stages]


@contextmanager
def snapshot(config: CascadeConfig) -> Iterator[tuple[CascadeConfig, dict[str, str]]]:
    """The same cascade over copies of its model folders, and which copy is of which folder; gone at the end.

    Raises ``ModelError`` where a folder cannot be copied, such as one that is being replaced.
    """
    with private_folder() as base:
        copies: dict[Path, Path] = {}
        stages = []
        for stage, folder in zip(config.stages, model_folders(config), strict=True):
            if folder not in copies:
                copies[folder] = base / str(len(copies)) / folder.name
                try:
                    shutil.copytree(folder, copies[folder])
                except (OSError, shutil.Error) as error:
                    raise ModelError(f"{folder}: cannot be copied for loading: {error}") from None
            stages.append(replace(stage, model=copies[folder]))
        yield replace(config, stages=tuple(stages)), {str(copy): str(folder) for folder, copy in copies.items()}
