#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Pearson's chi-square test, with the standard library alone.

Run as a program it tests itself against the printed tables and the cases that have a closed
form.
"""
import math
import sys

ROUNDS = 1000
TINY = 1e-300


def _lower_series(a, x):
    """P(a, x), the regularized lower incomplete gamma function, by its power series."""
    term = total = 1.0 / a
    for n in range(1, ROUNDS):
        term *= x / (a + n)
        total += term
        if term < total * 1e-16:
            break
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))


def _upper_fraction(a, x):
    """Q(a, x) = 1 - P(a, x) by its continued fraction, evaluated as Lentz does. It keeps its
    relative precision where Q is tiny, which is where it is wanted."""
    b = x + 1.0 - a
    c = 1.0 / TINY
    d = 1.0 / b
    h = d
    for n in range(1, ROUNDS):
        an = -n * (n - a)
        b += 2.0
        d = 1.0 / (an * d + b or TINY)
        c = b + an / c or TINY
        h *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    return h * math.exp(a * math.log(x) - x - math.lgamma(a))


def survival(statistic, freedom):
    """The probability that a chi-square variable with so many degrees of freedom exceeds the
    statistic."""
    a, x = freedom / 2.0, statistic / 2.0
    if x <= 0.0:
        return 1.0
    return 1.0 - _lower_series(a, x) if x < a + 1.0 else _upper_fraction(a, x)


def p_value(counts, weights):
    """How likely counts at least so far from the weights are, were the weights true. The two
    are lists of the same order; a weight of 0 with a count above it can't be true."""
    total, weight = sum(counts), sum(weights)
    statistic = 0.0
    for count, share in zip(counts, weights):
        expected = total * share / weight
        if expected > 0:
            statistic += (count - expected) ** 2 / expected
        elif count > 0:
            return 0.0
    return survival(statistic, sum(w > 0 for w in weights) - 1)


# Critical values as tables print them: degrees of freedom, probability, statistic.
TABLE = [
    (1, 0.05, 3.841), (1, 0.001, 10.828), (2, 0.05, 5.991), (2, 0.99, 0.0201), (3, 0.1, 6.251),
    (5, 0.01, 15.086), (10, 0.05, 18.307), (10, 0.95, 3.940), (30, 0.001, 59.703),
    (100, 0.05, 124.342),
]


def closed_form(statistic, freedom):
    """Q for an even number of degrees of freedom: a Poisson sum."""
    x, term, total = statistic / 2.0, 1.0, 1.0
    for n in range(1, freedom // 2):
        term *= x / n
        total += term
    return math.exp(-x) * total


def self_test():
    for freedom, p, statistic in TABLE:
        found = survival(statistic, freedom)
        assert math.isclose(found, p, rel_tol=3e-3), (freedom, statistic, found, p)
    for freedom in range(2, 80, 2):
        for statistic in (0.01, 0.5, 1.0, 3.0, 10.0, freedom - 0.5, freedom + 4.0, 200.0, 900.0):
            found, wanted = survival(statistic, freedom), closed_form(statistic, freedom)
            assert math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-14), (freedom, statistic)
    assert survival(0.0, 2) == 1.0
    assert p_value([50, 30, 20], [5, 3, 2]) == 1.0
    assert p_value([1, 10, 10], [0, 1, 1]) == 0.0
    assert math.isclose(p_value([60, 40], [1, 1]), math.erfc(math.sqrt(2.0)), rel_tol=1e-12)
    assert p_value([600, 360, 240], [1, 1, 1]) < 1e-30
    print(f"chi_square: {len(TABLE)} values of the tables and the closed forms agree")


if __name__ == "__main__":
    sys.exit(self_test())
