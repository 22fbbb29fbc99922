"""Gradient flow of mean cross-entropy, from counts alone and from the samples (THEORY, section 1).

The model is f_i = W^U M2 sigma(M1 h_i), h_i = sum_x c_ix W^E_x, with c the incidence of the counts
(presence or multiplicity) and M1 = M2 = identity where they are not given.
"""

from .activations import ACTIVATIONS, Activation
from .exact import exact_flow, incidence_matrix
from .leading import LeadingFlow, leading_flow, source_integers, source_matrix
from .predicted import predicted_flow
from .weights import Agreement, Flow

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Agreement",
    "Flow",
    "LeadingFlow",
    "exact_flow",
    "incidence_matrix",
    "leading_flow",
    "predicted_flow",
    "source_integers",
    "source_matrix",
]
