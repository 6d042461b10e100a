"""A second version of `read_digit`, which asks for a second opinion sooner."""

from __future__ import annotations

from algorithm import Pixels, Reading, likeliest, logistic, most, nearest, second_opinion

from algorail.engine import algorithm, when


@algorithm(name="read_digit")
def read_digit(pixels: Pixels) -> Reading:
    """Reads a scanned digit of 8 × 8 pixels; content with a first look only when all neighbours agree."""
    hits = nearest(vector=pixels)
    neighbours = most(hits=hits)
    answer = logistic(pixels=pixels)
    first = likeliest(answer=answer)
    agree = neighbours["digit"] == first["digit"]
    sure = agree & (first["confidence"] > 0.9) & (neighbours["confidence"] > 0.9)
    reading = when(
        sure,
        then=Reading(digit=first["digit"], confidence=first["confidence"], by="first look"),
        otherwise=second_opinion(pixels=pixels, neighbours=neighbours, first=first),
    )
    return reading
