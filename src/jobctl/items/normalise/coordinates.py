"""Coordinates: whether they can be true, and the H3 cell they lie in.

h3 gives a cell for latitude 95 without a word, so the range is checked first, always.
"""

from enum import Enum


class Fault(Enum):
    SWAPPED = "coordinates_swapped"
    OUT_OF_RANGE = "coordinate_out_of_range"


def fault_of(latitude: float, longitude: float) -> Fault | None:
    """None when the pair lies on Earth. A latitude that can only be a longitude, beside a longitude that could be a
    latitude, tells that the two were swapped."""
    if -90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0:
        return None
    if 90.0 < abs(latitude) <= 180.0 and -90.0 <= longitude <= 90.0:
        return Fault.SWAPPED
    return Fault.OUT_OF_RANGE
