"""Product labels that are fixed: the documentation of the product names them."""

from __future__ import annotations

GET_STARTED = "Get Started"
BROWSE = "Browse"
ADD = "Add"
CONTINUOUS_CONNECTION = "Enable Continuous Connection"
TERMINATE = "Terminate"
INTERACTION_DATA = "Collect interaction data (all users)"
