"""Imports of the packages that only making models needs, on first use, so that everything else works without them."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cascaderank.errors import MissingExtraError

_LOUD = ("transformers", "optimum", "onnxruntime", "torch.onnx", "root")


def require(module: str) -> Any:
    """Import ``module``; raises ``MissingExtraError`` naming the package and the extra where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside these packages are not the user's to mend
            return importlib.import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        raise MissingExtraError(
            f"export: importing {module} failed because {package!r} is not installed or does not fit ({error}); "
            "pip install 'cascaderank[export]'"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the packages' warnings and log lines: what matters of them is an error or a number of the report here."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    loggers = [logging.getLogger(None if name == "root" else name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        root.handlers[:] = handlers  # a library that logs to the root logger gives it a handler as it does


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, one's share of it, the largest file allowed


def out_of_space(error: BaseException | None) -> str | None:
    """What the system said, where ``error`` or one it came from is for want of room to write; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return None


def first_line(error: Exception) -> str:
    """A package's error, short enough for ours."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
