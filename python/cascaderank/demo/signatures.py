"""How an object is called, as one line of text that is the same on every run."""

from __future__ import annotations

import inspect

_PLAIN = (type(None), bool, int, float, str, bytes)


class _Dots:
    def __repr__(self) -> str:
        return "..."


_DOTS = _Dots()


def signature_text(value: object) -> str:
    """``(a, b=1, *rest)``, or nothing where Python does not know it.

    Annotations are left out. Defaults that are not plain values are shown as ``...``: their text may hold an address,
    a path or the environment.
    """
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001  a C function's text signature is evaluated, and some name what does not exist
        return ""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty, default=_shown(parameter.default))
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _shown(default: object) -> object:
    return default if default is inspect.Parameter.empty or type(default) in _PLAIN else _DOTS
