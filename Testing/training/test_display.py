"""What a person sees: a line a second at first, fewer later, and the time that is left."""

import io

from rich.console import Console

from LiverTumorSegTraining.training.display import Display, duration


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def shown(console_options, steps, seconds_a_step, fractions=None):
    stream, clock = io.StringIO(), Clock()
    display = Display(console=Console(file=stream, soft_wrap=True, **console_options), clock=clock)
    with display.stage("training", steps) as advance:
        for step in range(1, steps + 1):
            clock.now += seconds_a_step
            advance(step, f"loss {1 / step:.2f}", fractions(clock.now) if fractions else None)
    return stream.getvalue()


def test_a_log_tells_every_second_at_first_and_ever_more_seldom():
    lines = shown({}, 2000, 0.5).splitlines()
    assert lines[0].startswith("training 1/2000, loss 1.00")
    assert lines[1].startswith("training 3/2000")
    assert lines[-1].startswith("training 2000/2000")
    assert 60 < len(lines) < 120


def test_the_time_left_knows_the_time_limit():
    # 1000 steps would take 1000 s, but the limit of 100 s comes first.
    lines = shown({}, 1000, 1.0, lambda now: now / 100).splitlines()
    assert "90 s left" in next(line for line in lines if line.startswith("training 10/"))
    lines = shown({}, 1000, 1.0).splitlines()
    assert "16 min left" in next(line for line in lines if line.startswith("training 10/"))


def test_on_a_terminal_stages_lie_within_each_other():
    stream = io.StringIO()
    display = Display(console=Console(file=stream, force_terminal=True, width=100))
    with display.stage("training", 10) as advance:
        advance(1, "loss 0.50")
        with display.stage("validation", 2) as inner:
            inner(1, "case7")
            display._bars.refresh()
    assert "case7" in stream.getvalue()
    assert "loss 0.50" in stream.getvalue()
    display.say("a sentence with [brackets]")
    assert "[brackets]" in stream.getvalue()


def test_a_quiet_process_says_nothing():
    stream = io.StringIO()
    display = Display(quiet=True, console=Console(file=stream))
    with display.stage("training", 1) as advance:
        advance(1)
    display.say("nothing")
    assert not stream.getvalue()


def test_durations():
    assert [duration(s) for s in (40, 700, 12000)] == ["40 s", "12 min", "3 h 20 min"]
