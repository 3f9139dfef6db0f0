"""What the benches' scripts share: their task is a line of JSON on stdin, which stays open as long as the bench lives."""
import json
import os
import sys
import threading


def read_task():
    """Reads the task, and ends the process when the bench has ended, however it ended."""
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_bench, daemon=True).start()
    return json.loads(line)


def peak_rss_mb():
    """The most memory that this process has had, MiB. What getrusage says is also that of the bench that started it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))


def _end_with_bench():
    while os.read(0, 4096):
        pass
    os._exit(1)
