#!/usr/bin/env python3
"""Runs every command of the README's `sh` blocks as it is written, on the program that its first one starts.

Then those of loadtest/README.md about other tools, and believes a tool only when it says that all was answered: oha
in JSON, h2load in its text.

A command that never ends by itself (`curl -N` of a topic, the server) runs beside the others and must have
printed something before the end. Every other one must succeed within its deadline. The test command is left
out: `.ci/run` has just run it.
"""

import json
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


def commands(file, section=""):
    text = (ROOT / file).read_text()
    if section:
        text = text.split(section, 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def never_ends(command):
    return command.startswith("curl") and "N " in command and "/topics" in command


def builds(command):
    return command.startswith("cargo") or "install" in command


def start(command, output):
    return subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )


def run(command):
    print(f"$ {command}", flush=True)
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT, capture_output=True, text=True,
        timeout=BUILD_DEADLINE if builds(command) else COMMAND_DEADLINE,
    )
    print(ran.stdout[:300], flush=True)
    if ran.returncode:
        sys.exit(f"{command}: ended with {ran.returncode}\n{ran.stderr}")
    return ran.stdout


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


def run_readme():
    """The README's commands, but for the two that are not to be run here."""
    endless = []
    try:
        for command in commands("README.md"):
            if command in (SERVER, TESTS):
                continue
            if never_ends(command):
                print(f"$ {command}", flush=True)
                output = tempfile.NamedTemporaryFile()
                endless.append((command, start(command, output), output))
                # It is subscribed when its first bytes are there: a heartbeat.
                wait_for(b":\n", command, output)
            else:
                run(command)
        for command, _, output in endless:
            wait_for(b"data: ", command, output)
    finally:
        for _, process, _ in endless:
            process.kill()


def option(command, name):
    return int(re.search(rf" -{name} (\d+)", command)[1])


def size(command):
    """What one answer of the command's topic takes, by curl; some digits of its `retry` are chance."""
    url = re.search(r"'(\S+)'$", command)[1]
    return len(subprocess.run(["curl", "-sk", url], check=True, capture_output=True).stdout)


def run_oha(command):
    found = json.loads(run(f"{command} --output-format json"))
    requests = option(command, "n")
    if found["statusCodeDistribution"] != {"200": requests} or found["errorDistribution"]:
        sys.exit(f"{command}: not all were answered: {found}")
    # A chat is as long as its words are; twenty chunks of it are longer than this.
    least = size(command) - 8 if "limit=" in command else 20 * 100
    if found["summary"]["sizePerRequest"] < least:
        sys.exit(f"{command}: answers of less than {least} bytes: {found['summary']}")


def run_h2load(command):
    said = run(command)
    if "-n" in command.split():
        streams = option(command, "n")
        whole = f"{streams} succeeded, 0 failed, 0 errored"
        if whole not in said:
            sys.exit(f"{command}: not all were answered:\n{said}")
    else:
        streams = option(command, "c") * (option(command, "m") if " -m " in command else 1)
    if f"status codes: {streams} 2xx, 0 3xx, 0 4xx, 0 5xx" not in said:
        sys.exit(f"{command}: not all were opened:\n{said}")


def run_other_tools():
    runs = {"target/tools/bin/oha": run_oha, "h2load": run_h2load}
    tried = set()
    for command in commands("loadtest/README.md", "## Other tools"):
        tool = command.split()[0]
        runs.get(tool, run)(command)
        tried.add(tool)
    if not tried.issuperset(runs):
        sys.exit(f"loadtest/README.md no longer says how to use {' and '.join(runs)}")


def main():
    for needed in (SERVER, TESTS):
        if needed not in commands("README.md"):
            sys.exit(f"the README no longer says: {needed}")
    # A build first, so that the signal at the end reaches the program and not cargo.
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    with tempfile.TemporaryFile() as log:
        server = start(SERVER, log)
        try:
            wait_until_ready(server)
            run_readme()
            run_other_tools()
        finally:
            # cargo has become the program (exec), so this is the program's drain.
            server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=COMMAND_DEADLINE)
        if code:
            sys.exit(f"{SERVER}: drained with {code}")


os.chdir(ROOT)
main()
