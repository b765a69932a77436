"""Which arithmetic is best on this machine: the same model in other precisions and on other providers, measured."""

from cascaderank.arithmetic.choose import choose
from cascaderank.arithmetic.measure import Figures, Loss, measure_variants
from cascaderank.arithmetic.variants import Variant, find_variants
from cascaderank.arithmetic.write import write_choices

__all__ = ["Figures", "Loss", "Variant", "choose", "find_variants", "measure_variants", "write_choices"]
