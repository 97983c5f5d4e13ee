"""The surroundings of a place on a globe. Pure."""

from math import asin, cos, degrees, isfinite, radians, sin
from typing import NamedTuple

EARTH_RADIUS_KM = 6_371.0088  # the mean radius
HALF_ROUND_KM = 20_037.6  # farther than that is nothing


class Near(NamedTuple):
    latitude: float
    longitude: float
    km: float


class Box(NamedTuple):
    """Degrees that hold all of the surroundings. Across the antimeridian west is greater than east."""

    south: float
    north: float
    west: float
    east: float


def parse_near(text: str) -> Near:
    """`lat,lon,km`. Raises ValueError with what is wrong with it."""
    try:
        latitude, longitude, km = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("is not of the form lat,lon,km, such as 46.8,8.2,100") from None
    if not -90 <= latitude <= 90:
        raise ValueError(f"has the latitude {latitude:g}, which is not from -90 to 90")
    if not -180 <= longitude <= 180:
        raise ValueError(f"has the longitude {longitude:g}, which is not from -180 to 180")
    if not (isfinite(km) and km > 0):
        raise ValueError(f"has the distance {km:g}, which is not more than 0 km")
    return Near(latitude, longitude, km)


def box_around(near: Near) -> Box:
    """The smallest box of degrees; all longitudes where a pole is within reach."""
    reach = near.km / EARTH_RADIUS_KM
    margin = degrees(reach) + 1e-9
    south, north = near.latitude - margin, near.latitude + margin
    if south <= -90 or north >= 90 or near.km >= HALF_ROUND_KM / 2:
        return Box(max(south, -90.0), min(north, 90.0), -180.0, 180.0)
    # The meridians that touch the circle do so not at its own latitude but nearer to the pole.
    sideways = degrees(asin(min(1.0, sin(reach) / cos(radians(near.latitude))))) + 1e-9
    if sideways >= 180:
        return Box(south, north, -180.0, 180.0)
    west, east = near.longitude - sideways, near.longitude + sideways
    return Box(south, north, west + 360 if west < -180 else west, east - 360 if east > 180 else east)
