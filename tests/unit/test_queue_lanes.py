"""The wheel of users: whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from jobctl.queue.lanes import Lane, Wheel


def lane(user_id: str, type_: str = "crawl", task_id: int = 0) -> Lane:
    return Lane(user_id, type_, "2026-01-01 00:00:00", task_id, False)


def wheel(*users: str) -> Wheel:
    laid_out = Wheel()
    laid_out.lay_out([lane(user_id) for user_id in users])
    return laid_out


def users(of: Wheel, count: int = 100) -> list[str]:
    return [user_id for user_id, _ in of.offer(count)]


def test_who_had_a_turn_goes_to_the_end() -> None:
    turning = wheel("ann", "bob", "eve")
    assert users(turning, 2) == ["ann", "bob"]
    turning.had_turn("ann")
    turning.had_turn("nobody")
    assert users(turning) == ["bob", "eve", "ann"]


def test_a_wheel_laid_out_anew_keeps_the_places_and_new_users_come_to_the_end() -> None:
    turning = wheel("ann", "bob", "eve")
    turning.had_turn("ann")
    turning.lay_out([lane("abe"), lane("ann"), lane("eve")])
    assert users(turning) == ["eve", "ann", "abe"]


def test_the_first_round_starts_where_it_is_told_to() -> None:
    turning = Wheel()
    turning.lay_out([lane(user_id) for user_id in "abcd"], start_at=0.5)
    assert users(turning) == ["c", "d", "a", "b"]


def test_a_user_leaves_with_the_last_lane() -> None:
    crawl, mail = lane("ann"), lane("ann", "mail")
    turning = Wheel()
    turning.lay_out([crawl, mail, lane("bob")])
    turning.drop(crawl)
    assert turning.offer(9) == [("ann", [mail]), ("bob", [lane("bob")])]
    turning.drop(mail)
    turning.drop(mail)
    assert users(turning) == ["bob"] and len(turning) == 1


def test_types_that_are_not_asked_for_and_users_that_are_passed_over_keep_their_places() -> None:
    turning = Wheel()
    turning.lay_out([lane("ann"), lane("bob", "mail"), lane("eve", "mail"), lane("eve")])
    assert turning.offer(9, types={"mail"}) == [("bob", [lane("bob", "mail")]), ("eve", [lane("eve", "mail")])]
    assert [user_id for user_id, _ in turning.offer(9, but={"ann"})] == ["bob", "eve"]
    assert users(turning) == ["ann", "bob", "eve"]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 4), st.floats(0, 0.999))
def test_nobody_is_served_twice_before_everybody_was_served_once(names: list[str], step: int, start: float) -> None:
    turning = Wheel()
    turning.lay_out([lane(user_id) for user_id in names], start_at=start)
    served: list[str] = []
    while len(served) < len(set(names)):
        for user_id in users(turning, step):
            turning.had_turn(user_id)
            served.append(user_id)
    first_round = served[: len(set(names))]
    assert sorted(first_round) == sorted(set(names))
