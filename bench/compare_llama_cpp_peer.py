"""llama.cpp, for compare_llama_cpp: its programs built outside the tree, and their measurements.

A measurement returns tokens per second by case; a case is (test, tokens, depth, batch, threads).
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request

# The Python binding's source archive carries the exact llama.cpp source that it was released with.
VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TARGETS = ("llama-bench", "llama-server")
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_SERVER": "ON",
    **{
        name: "OFF"
        for name in (
            "LLAMA_BUILD_TESTS LLAMA_BUILD_EXAMPLES LLAMA_BUILD_APP LLAMA_BUILD_UI"
            " LLAMA_USE_PREBUILT_UI LLAMA_CURL LLAMA_OPENSSL"
        ).split()
    },
}
# `avx2` takes AVX-512 and the VNNI instructions away from both sides.
ISA_OPTIONS = {
    "native": {"GGML_NATIVE": "ON"},
    "avx2": {"GGML_NATIVE": "OFF", "GGML_AVX2": "ON", "GGML_FMA": "ON", "GGML_F16C": "ON",
             "GGML_BMI2": "ON"},
}


class Failure(Exception):
    """One sentence for the user: what failed, and why."""


def run(command, environment=None):
    """Runs a command to its end and returns its standard output."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, env={**os.environ, **(environment or {})}, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise Failure(f"{words[0]}: cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        last = " / ".join((done.stderr or done.stdout or "").strip().splitlines()[-3:])
        raise Failure(f"`{' '.join(words)}` failed with code {done.returncode}: {last}")
    return done.stdout


def say(text):
    print(text, file=sys.stderr, flush=True)


def sha256(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_source(scratch):
    """The folder of the unpacked llama.cpp source; downloads it the first time."""
    folder = scratch / f"llama_cpp_python-{VERSION}"
    source = folder / "vendor" / "llama.cpp"
    if source.is_dir():
        return source
    archive = scratch / f"{folder.name}.tar.gz"
    if not archive.is_file():
        say(f"downloading the source of llama-cpp-python {VERSION}")
        run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary",
             "llama-cpp-python", "--dest", scratch, f"llama-cpp-python=={VERSION}"])
    if (found := sha256(archive)) != SHA256:
        raise Failure(f"{archive}: its SHA-256 is {found}, not {SHA256}: remove it, try again")
    # Unpacked beside its place and renamed: an interrupted run leaves no half source behind.
    partial = scratch / "unpacking"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(partial)
    (partial / folder.name).rename(folder)
    partial.rmdir()
    return source


def build(scratch, isa, jobs):
    """The folder that holds llama-bench and llama-server; builds them the first time."""
    scratch.mkdir(parents=True, exist_ok=True)
    build = scratch / f"build-{VERSION}-{isa}"
    programs = build / "bin"
    if (build / "complete").is_file():
        return programs
    source = fetch_source(scratch)
    say(f"building llama.cpp for {isa} in {build}: once, and for some minutes")
    options = {**OPTIONS, **ISA_OPTIONS[isa]}
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(["cmake", "-S", source, "-B", build, *generator,
         *(f"-D{name}={value}" for name, value in options.items())])
    run(["nice", "cmake", "--build", build, "--parallel", jobs, "--target", *TARGETS])
    (build / "complete").touch()
    return programs


def describe_version(programs):
    lines = subprocess.run([programs / "llama-server", "--version"], text=True, check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT).stdout.splitlines()
    version = next((line for line in lines if line.startswith("version")), "version unknown")
    return f"llama.cpp of llama-cpp-python {VERSION}, {version}"


def measure_alone(programs, model, prefill, decode, depth, threads):
    """One sequence, by llama-bench."""
    rows = json.loads(run([
        programs / "llama-bench", "-m", model, "-p", prefill, "-n", decode, "-d", depth,
        "-t", threads, "-r", 1, "-o", "json"]))
    found = {}
    for row in rows:
        test, tokens = ("prefill", row["n_prompt"]) if row["n_prompt"] else ("decode", row["n_gen"])
        found[test, tokens, row["n_depth"], 1, threads] = row["avg_ts"]
    return found


# Never through a proxy that the environment may name: the server is on this machine.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def running_server(programs, model, slots, context, threads, log):
    """A llama-server on a free port of the loopback address, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(log, "w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [str(word) for word in (
                programs / "llama-server", "-m", model, "--host", "127.0.0.1", "--port", port,
                "-t", threads, "-tb", threads, "-np", slots, "-c", context, "--no-kv-unified",
                "--cache-ram", 0, "--no-ui", "--offline")],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"llama-server did not come up: {log} says why")
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                with LOCAL.open(address + "/health", timeout=5):
                    break
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def complete_together(address, sequences, tokens):
    """The server's own timings of `sequences` greedy answers of exactly `tokens` tokens each.

    One request with many prompts, so that all slots start in the same step. Greedy, by the
    cheapest sampler there is; each prompt is one token, and no two are the same.
    """
    body = {
        "prompt": [[1000 + number] for number in range(sequences)], "n_predict": tokens,
        "ignore_eos": True, "cache_prompt": False, "samplers": ["top_k"], "top_k": 1,
        "temperature": 0, "stream": False,
    }
    request = urllib.request.Request(address + "/completion", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with LOCAL.open(request, timeout=3600) as answer:
        return [result["timings"] for result in json.load(answer)]


def measure_batch(programs, model, decode, batch, threads, log):
    """Many sequences at once, by llama-server: llama-bench has no such test."""
    context = batch * 256 * (1 + decode // 256)  # the server rounds a slot's share to 256
    with running_server(programs, model, batch, context, threads, log) as address:
        complete_together(address, batch, 4)  # touches every buffer once
        timings = complete_together(address, batch, decode)
    if any(timing["predicted_n"] != decode for timing in timings):
        raise Failure(f"llama-server answered with fewer than {decode} tokens: {log} says why")
    # A slot's clock starts at its first token, which the prompt's step gives.
    steps = sum(timing["predicted_n"] - 1 for timing in timings)
    seconds = max(timing["predicted_ms"] for timing in timings) / 1000
    return {("decode", decode, 0, batch, threads): steps / seconds}
