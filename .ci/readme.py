#!/usr/bin/env python3
"""Runs every command of the README's `sh` blocks as it is written, on the program that its first one starts.

A command that never ends by itself (`curl -N` of a topic, the server) runs beside the others and must have
printed something before the end. Every other one must succeed within its deadline. The test command is left
out: `.ci/run` has just run it.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = "cargo run --release"
TESTS = ".ci/test"
BUILD_DEADLINE = 900
COMMAND_DEADLINE = 60


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def never_ends(command):
    return command.startswith("curl") and "N " in command and "/topics" in command


def start(command, output):
    return subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )


def wait_until_ready(server):
    deadline = time.monotonic() + BUILD_DEADLINE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"{SERVER}: ended with {server.returncode}")
        try:
            with urllib.request.urlopen("http://localhost:8080/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{SERVER}: not ready within {BUILD_DEADLINE} s")


def wait_for(words, command, output):
    deadline = time.monotonic() + COMMAND_DEADLINE
    while time.monotonic() < deadline:
        if words in Path(output.name).read_bytes():
            return
        time.sleep(0.05)
    sys.exit(f"{command}: no {words} within {COMMAND_DEADLINE} s")


def main():
    rest = commands()
    for needed in (SERVER, TESTS):
        if needed not in rest:
            sys.exit(f"the README no longer says: {needed}")
        rest.remove(needed)
    # A build first, so that the signal at the end reaches the program and not cargo.
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    with tempfile.TemporaryFile() as log:
        server = start(SERVER, log)
        endless = []
        try:
            wait_until_ready(server)
            for command in rest:
                print(f"$ {command}", flush=True)
                if never_ends(command):
                    output = tempfile.NamedTemporaryFile()
                    endless.append((command, start(command, output), output))
                    # It is subscribed when its first bytes are there: a heartbeat.
                    wait_for(b":\n", command, output)
                else:
                    ran = subprocess.run(
                        ["bash", "-o", "pipefail", "-c", command],
                        cwd=ROOT, capture_output=True, text=True,
                        timeout=BUILD_DEADLINE if command.startswith("cargo") else COMMAND_DEADLINE,
                    )
                    print(ran.stdout[:300], flush=True)
                    if ran.returncode:
                        sys.exit(f"{command}: ended with {ran.returncode}\n{ran.stderr}")
            for command, _, output in endless:
                wait_for(b"data: ", command, output)
        finally:
            for _, process, _ in endless:
                process.kill()
            # cargo has become the program (exec), so this is the program's drain.
            server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=COMMAND_DEADLINE)
        if code:
            sys.exit(f"{SERVER}: drained with {code}")


os.chdir(ROOT)
main()
