"""Who gets which variant: the same answer in every process, after every restart, recomputable in SQL.

    table = VariantTable.new("checkout", {"3": 90, "4": 10}, since_ns=now)
    assign(table, "customer-17")      # Assignment(variant='3', reason=ASSIGNED, bucket=…, epoch=1, …)

Pure functions over integers and the standard library. Knows nothing of algorithms, versions, requests or
storage: whoever owns the table keeps it (`to_dict`, `from_dict`), one per epoch, for the analysis.
"""

from algorail.ab_testing.assign.assignment import Assignment, Reason, assign
from algorail.ab_testing.assign.hashing import SEGMENTS, segment_of, unit_key
from algorail.ab_testing.assign.table import Epoch, LayerClaim, VariantTable
from algorail.ab_testing.assign.weights import apportion, moved_share

__all__ = [
    "SEGMENTS",
    "Assignment",
    "Epoch",
    "LayerClaim",
    "Reason",
    "VariantTable",
    "apportion",
    "assign",
    "moved_share",
    "segment_of",
    "unit_key",
]
