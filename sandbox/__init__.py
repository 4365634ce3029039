"""The vendor in miniature: a receiver and a collector on this machine.

It stands alone: it imports nothing of the product, and the product reaches it
only by HTTP, as it would reach the vendor.
"""

from __future__ import annotations
