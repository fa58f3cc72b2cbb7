"""Doctor 体检: what is wrong with a hospital, in words, and what to do next. It only looks."""

from .run import Wanted, examine
from .verdict import State, Verdict

__all__ = ["State", "Verdict", "Wanted", "examine"]
