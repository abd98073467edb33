"""A page in headless Chromium, driven over the pipe of its DevTools protocol (chromedevtools.github.io)."""

import base64
import collections
import contextlib
import fcntl
import json
import os
import shutil
import subprocess

import pytest

OPTIONS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync --hide-scrollbars --remote-debugging-pipe"

READY = "document.documentElement.dataset.ready === 'all'"


def program():
    """Return Chromium's path, or skip the test."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


class Page:
    """A page that is open in the browser; ``complaints`` holds what it writes to the console and what it throws."""

    def __init__(self, requests, answers):
        self._requests, self._answers = requests, answers
        self._number, self._target, self._session, self._rest = 0, None, None, b""
        self.complaints, self._events = [], collections.deque(maxlen=100)

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._requests.write(json.dumps(message).encode() + b"\0")
        self._requests.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        text = bytearray()
        while not text.endswith(b"\0"):
            part = self._answers.read1(1 << 20) if not self._rest else self._rest
            self._rest = b""
            assert part, "the browser has ended"
            head, end, self._rest = part.partition(b"\0")
            text += head + end
        answer = json.loads(text[:-1])
        if "method" in answer:
            self._events.append(answer)
        if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(answer["params"])
        return answer

    def until(self, event, **values):
        """Read until an event with these values has come."""
        while True:
            for answer in self._events:
                found = answer["params"]
                if answer["method"] == event and values.items() <= found.items():
                    self._events.clear()
                    return
            self._read()

    def open(self, path, width=1400, height=900, dark=False, touch=False, ready=READY):
        self._session = None
        if self._target:
            self.call("Target.closeTarget", targetId=self._target)
        self._target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        self.call("Performance.enable", timeDomain="threadTicks")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.resize(width, height, touch)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.call("Page.navigate", url=path.as_uri())
        self.wait(ready)

    def resize(self, width, height, touch=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )

    def evaluate(self, script):
        """Return the value of a script, or of the promise that it gives."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition):
        """Wait until a condition of the page holds, which it looks at before each of its frames."""
        self.evaluate(f"""new Promise((resolve, reject) => {{
            const end = performance.now() + 60000;
            const look = () => {{
                try {{ if ({condition}) return resolve(); }} catch (problem) {{ }}
                performance.now() < end ? setTimeout(look, 10) : reject(new Error("waited in vain"));
            }};
            look();
        }})""")

    def seconds_of_work(self):
        """Return how long the page's thread has worked so far, of which other processes take nothing."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def key(self, key, shift=False):
        text = {"text": key} if len(key) == 1 else {}
        code = {"modifiers": 8 if shift else 0, "key": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y):
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def touch(self, places):
        """Put a finger on the first place, move it over the others, lift it."""
        for i, (x, y) in enumerate(places):
            kind = "touchMove" if i else "touchStart"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path, whole=False):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser(folder):
    """Start Chromium with a profile of its own in ``folder``; yield its page, and end it."""
    from_here, to_there = os.pipe()
    from_there, to_here = os.pipe()
    # Chromium reads from 3 and writes to 4, which may be any of these here.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (from_here, to_here)]
    shell = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}'
    command = [
        "bash",
        "-c",
        shell,
        "bash",
        program(),
        *OPTIONS.split(),
        f"--user-data-dir={folder / 'profile'}",
    ]
    process = subprocess.Popen(command, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for end in (from_here, to_here, *ends):
        os.close(end)
    with os.fdopen(to_there, "wb") as requests, os.fdopen(from_there, "rb") as answers:
        try:
            yield Page(requests, answers)
        finally:
            process.kill()
            process.wait()
