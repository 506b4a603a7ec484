"""The plan: cycles drawn from a seed. Cycle N of a seed does not depend on the other cycles."""

import random
from collections.abc import Sequence

from harness.cycles.model import SIGNALS, TRIGGERS, Cycle

_LIVES = ("start", "daemonize", "prealloc", "paused", "running")
_WEIGHTS = (25, 20, 20, 20, 15)
_CONFINEMENTS = ("none", "sandbox", "runas", "both")


def plan_cycles(seed: int, count: int, *, accels: Sequence[str], root: bool) -> tuple[Cycle, ...]:
    """Return the cycles 1 to ``count`` of ``seed``.

    Accelerators are chosen from ``accels``. Without ``root``, QEMU does not change its user. Values that this
    machine does not support are replaced after drawing, so that the rest of the plan is the same everywhere.
    """
    return tuple(_draw(seed, number, accels, root=root) for number in range(1, count + 1))


def _draw(seed: int, number: int, accels: Sequence[str], *, root: bool) -> Cycle:
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - a plan, not a secret
    life = draw.choices(_LIVES, _WEIGHTS)[0]
    ready = life in ("paused", "running")
    trigger = draw.choice(TRIGGERS if ready else SIGNALS)
    scope = draw.choice(("process", "process", "group"))
    helper = draw.choice(("let be", "let be", "killed", "stopped"))
    confinement = draw.choices(_CONFINEMENTS, (4, 2, 2, 2))[0]
    victim = draw.choice(("daemon", "parent", "both"))
    backend = draw.choice(("ram", "ram", "memfd"))
    accel = draw.choice(("kvm", "tcg"))
    memory = draw.randrange(64, 513 if life == "prealloc" else 257, 64)
    moment = round(draw.random(), 4)
    if not root:
        confinement = {"runas": "none", "both": "sandbox"}.get(confinement, confinement)
    return Cycle(
        number=number,
        life=life,
        trigger=trigger,
        scope="process" if trigger == "quit" else scope,
        helper=helper if ready else "let be",
        confinement=confinement,
        victim=victim if life == "daemonize" else "qemu",
        backend=backend,
        accel=accel if accel in accels else accels[0],
        memory_mib=memory,
        moment=moment,
    )
