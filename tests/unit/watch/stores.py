"""Stores with series in them, as the watch writes them."""

from harness.watch.model import Contents, Given, WatchedPatch

DIFF = "diff --git a/hw/1.c b/hw/1.c\n--- a/hw/1.c\n+++ b/hw/1.c\n@@ -1 +1,2 @@\n a\n+b\n"


def contents(title="add a device", patches=2, **changes):
    made = tuple(
        WatchedPatch(
            number=at,
            label=f"{at}/{patches}",
            title=f"{title}, part {at}",
            author="A Person <a@example.org>",
            message_id=f"{title.replace(' ', '-')}-{at}@example.org",
            message=f"Part {at}.\n\nSigned-off-by: A Person <a@example.org>",
            diff=DIFF.replace("hw/1.c", f"hw/{at}.c"),
            files=(f"hw/{at}.c",),
        )
        for at in range(1, patches + 1)
    )
    given = (Given(patch=1, text="Reviewed-by: B <b@example.org>", sender="B <b@example.org>"),)
    return Contents(**{"sha256": title, "cover": "Hello.", "patches": made, "given": given, **changes})


def add_version(store, title="add a device", series=0, number=1, state="queued", results=None, **changes):
    """Add a version, to a series of its own if ``series`` is 0, and a run if there are results."""
    text = contents(title, **changes)
    if not series:
        series = store.insert("series", sections='["PC"]')
    first = f"{title.replace(' ', '-')}-v{number}@example.org"
    version = store.put_version(
        0,
        series,
        text,
        (first, *(patch.message_id for patch in text.patches)),
        thread=series,
        number=number,
        rfc=0,
        message_id=first,
        title=title,
        author="A Person <a@example.org>",
        email="a@example.org",
        sent="2026-01-02T03:04:05+00:00",
        arrived="2026-01-02T03:05:00+00:00",
        state=state,
        reason="",
        total=len(text.patches),
    )
    if results:
        run = store.start_run(version, text.sha256, "0" * 40)
        store.finish_run(run, results=results, seconds=12.5)
    return version
