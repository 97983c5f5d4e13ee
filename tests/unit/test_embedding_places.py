"""The surroundings of a place: the box never leaves out what the distance lets in."""

from math import asin, cos, radians, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.embeddings.geo import EARTH_RADIUS_KM, Near, box_around, parse_near

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


def distance_km(near: Near, latitude: float, longitude: float) -> float:
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0,
        sin(radians(latitude - near.latitude) / 2) ** 2
        + cos(radians(near.latitude)) * cos(radians(latitude)) * sin(radians(longitude - near.longitude) / 2) ** 2
    )))  # fmt: skip


@given(LATITUDES, LONGITUDES, st.floats(0.001, 25_000), LATITUDES, LONGITUDES)
def test_every_place_within_the_distance_is_in_the_box(
    latitude: float, longitude: float, km: float, there: float, over_there: float
) -> None:
    near = Near(latitude, longitude, km)
    if distance_km(near, there, over_there) <= km:
        box = box_around(near)
        assert box.south <= there <= box.north
        is_across = box.west > box.east
        assert (over_there >= box.west or over_there <= box.east) if is_across else box.west <= over_there <= box.east


@pytest.mark.parametrize(
    ("near", "is_small"),
    [(Near(46.8, 8.2, 100), True), (Near(-17.7, 179.9, 100), True), (Near(89.9, 0, 100), False)],
)
def test_box_is_small_but_at_the_poles(near: Near, is_small: bool) -> None:
    box = box_around(near)
    width = (box.east - box.west) % 360
    assert (0 < width < 3) == is_small


def test_box_crosses_the_antimeridian() -> None:
    box = box_around(Near(-17.7, 179.9, 100))
    assert box.west > 178 and box.east < -179 + 1


@pytest.mark.parametrize(
    ("text", "told"),
    [("46.8,8.2", "lat,lon,km"), ("a,b,c", "lat,lon,km"), ("91,0,1", "latitude"), ("nan,0,1", "latitude"),
     ("0,181,1", "longitude"), ("0,0,0", "distance"), ("0,0,inf", "distance"), ("1,2,3,4", "lat,lon,km")],
)  # fmt: skip
def test_wrong_place_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_near(text)


def test_right_place_is_read() -> None:
    assert parse_near(" 46.8, 8.2 ,100") == Near(46.8, 8.2, 100.0)
