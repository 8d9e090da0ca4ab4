"""Run test suites on finished builds and count. Called by tests/run, which installs and builds first.

unit          cmocka programs, as Meson lists them; run on the release and the asan build. Each test
              function counts; a program of another kind counts as one test, by its exit status.
integration   pytest below tests/integration, each file by itself on the asan build and what is marked `release` on the
              release build. WEIR_BUILD names the directory of the daemons under test.
fuzz          every executable fuzz_NAME of build/fuzz: once over its corpus tests/fuzz/corpus/NAME and what
              fuzz_seeds.py makes for it, then ten seconds on its own. What it finds is kept in
              build/test-results/fuzz.

A program that crashes, hangs or runs no test is a failure of its own. Reports of the sanitizers fail the
suite they appear in, whatever the tests say.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import xml.etree.ElementTree

import fuzz_seeds

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "test-results"
CMOCKA_TIMEOUT_S = 120
PYTEST_TIMEOUT_S = {"asan": 450, "release": 240}  # asan: of one file
NO_TESTS = 5  # exit status of pytest
FUZZ_SECONDS = 4
FUZZ_CORPUS_TIMEOUT_S = 120

TAP_PLAN = re.compile(r"^1\.\.\d+$", re.MULTILINE)
TAP_LINE = re.compile(r"^(not )?ok \d+(?: - (\S+))?(.*)$")


class Count:
    """Tests passed, failed and skipped."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def say(text):
    print(text, flush=True)


def fail(what, output=""):
    """Report one failure that no test framework counted."""
    say(f"FAILED {what}")
    if output:
        say("    " + output.strip().replace("\n", "\n    "))
    return Count(failed=1)


def run(command, timeout, **kwargs):
    """Run to completion in a session of its own, killed whole at the timeout: exit status (None), stdout, stderr."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, text=True, errors="replace",
                             start_new_session=True, cwd=ROOT, **kwargs)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        return None, out, err + f"\nno end within {timeout} s"
    return child.returncode, out, err


def environment(build, reports):
    """The caller's environment with the sanitizers told to stop at the first report and write it to `reports`."""
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    env = dict(os.environ, WEIR_BUILD=str(ROOT / "build" / build / "dataplane"), LC_ALL="C.UTF-8")
    common = f"log_path={reports}/report:print_stacktrace=1:halt_on_error=1:exitcode=99"
    env["ASAN_OPTIONS"] = common + ":detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
    env["UBSAN_OPTIONS"] = common
    env["LSAN_OPTIONS"] = f"exitcode=99:print_suppressions=0:suppressions={ROOT}/tests/support/lsan.supp"
    return env


def count_reports(reports, where):
    count = Count()
    for report in sorted(reports.iterdir()):
        count += fail(f"{where}: sanitizer report {report.name}", report.read_text(errors="replace")[:6000])
    return count


# --- cmocka ---------------------------------------------------------------------------------------------------


def meson_tests(build, suite, part):
    listing = subprocess.run(["meson", "introspect", "--tests", f"build/{build}"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout
    return [t for t in json.loads(listing)
            if suite in (s.split(":")[-1] for s in t["suite"]) and part in t["name"]]


def run_cmocka(test, env, where):
    status, out, err = run(test["cmd"], CMOCKA_TIMEOUT_S,
                           env=dict(env, **test["env"], CMOCKA_MESSAGE_OUTPUT="TAP"))
    count, notes = Count(), []
    for line in out.splitlines():
        match = TAP_LINE.match(line)
        if match and "# SKIP" in line:
            count.skipped += 1
        elif match and match[1]:
            count.failed += 1
            notes.append(line)
        elif match:
            count.passed += 1
        elif line.startswith("# "):
            notes.append(line)
    if status is None:
        count.failed += 1
        notes.append(err)
    elif count.failed == 0 and status != 0:
        count.failed += 1
        notes.append(f"exit status {status} after {count.passed} tests\n{err}")
    elif count.passed + count.failed == 0 and not TAP_PLAN.search(out):
        count.passed += 1
    elif count.passed + count.failed == 0:
        count.failed += 1
        notes.append("no test ran")
    if count.failed:
        say(f"FAILED {where}: {test['name']}")
        say("    " + "\n".join(notes).strip().replace("\n", "\n    "))
    return count


def cmocka_suite(suite, part):
    total, found = Count(), False
    for build in ("release", "asan"):
        tests = meson_tests(build, suite, part)
        if not tests:
            continue
        found = True
        where = f"{suite} ({build})"
        reports = RESULTS / f"{suite}-{build}"
        env = environment(build, reports)
        count = Count()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for one in pool.map(lambda t: run_cmocka(t, env, where), tests):
                count += one
        count += count_reports(reports, where)
        say(f"{where}: {count}")
        total += count
    return total if found else None


# --- pytest ---------------------------------------------------------------------------------------------------


def run_pytest(arguments, build, report, env, where):
    """One pytest; the exit status and what it counted."""
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "tests/pytest.ini", "--rootdir", "tests",
               f"--junitxml={report}", *arguments]
    status, out, err = run(command, PYTEST_TIMEOUT_S[build], env=env)
    count = Count()
    if report.exists():
        for one in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
            number = {k: int(one.get(k)) for k in ("tests", "failures", "errors", "skipped")}
            bad = number["failures"] + number["errors"]
            count += Count(number["tests"] - bad - number["skipped"], bad, number["skipped"])
    if count.failed or status not in (0, NO_TESTS):
        say(out + err)
    if count.failed == 0 and status not in (0, NO_TESTS):
        count += fail(f"{where}: pytest ended with {status}")
    return status, count


def pytest_suite(suite, part, builds):
    """All files that hold tests; on the asan build each by itself and a few at once."""
    path, _, node = part.partition("::")
    target = ROOT / "tests" / suite / path
    files = [target] if target.is_file() else sorted(target.glob("**/test_*.py"), key=lambda f: -f.stat().st_size)
    if not files:
        return None
    total = Count()
    for build in builds:
        where = f"{suite} ({build})"
        reports, results = RESULTS / f"{suite}-{build}", RESULTS / f"{suite}-{build}-xml"
        env = environment(build, reports)
        results.mkdir(exist_ok=True)
        if build == "release":
            runs = [["-m", "release", *map(str, files)]]
        else:
            runs = [[str(f) + ("::" + node if node else "")] for f in files]

        def one(numbered):
            n, arguments = numbered
            return run_pytest(arguments, build, results / f"{n}.xml", env, f"{where}: {pathlib.Path(arguments[-1]).name}")

        # one more than there are processors: most tests wait for somebody most of the time
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
            ran = list(pool.map(one, enumerate(runs)))
        if part and build == "release" and all(status == NO_TESTS for status, _ in ran):
            continue  # a named part need not have tests for the release build
        count = Count()
        for _, counted in ran:
            count += counted
        count += count_reports(reports, where)
        say(f"{where}: {count}")
        total += count
    return total


# --- libFuzzer ------------------------------------------------------------------------------------------------


def fuzz_one(program, name, env):
    corpus = ROOT / "tests" / "fuzz" / "corpus" / name
    found = RESULTS / "fuzz" / name
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    count = Count()
    with tempfile.TemporaryDirectory(prefix="weir-fuzz-") as directory:
        grown, made, words = (pathlib.Path(directory) / part for part in ("grown", "made", "words"))
        grown.mkdir()
        made.mkdir()
        seeds = [str(made)] if fuzz_seeds.write(made, name) else []
        seeds += [str(corpus)] if corpus.is_dir() else []
        limits = ["-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={found}/"]
        if seeds[:1] == [str(made)]:
            words.write_text(fuzz_seeds.dictionary())
            limits.append(f"-dict={words}")
        steps = [("corpus", ["-runs=0"] + limits + seeds, FUZZ_CORPUS_TIMEOUT_S),
                 (f"{FUZZ_SECONDS} s", [f"-max_total_time={FUZZ_SECONDS}"] + limits + [str(grown)] + seeds,
                  FUZZ_SECONDS + FUZZ_CORPUS_TIMEOUT_S)]
        for step, arguments, timeout in steps:
            status, out, err = run([program] + arguments, timeout, env=env)
            if status == 0:
                count.passed += 1
            else:
                count += fail(f"fuzz: {name}, {step}: exit status {status}", (out + err)[-6000:])
    return count


def fuzz_suite(part):
    listing = subprocess.run(["meson", "introspect", "--targets", "build/fuzz"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout
    programs = {pathlib.Path(t["filename"][0]).name: t["filename"][0] for t in json.loads(listing)
                if t["type"] == "executable"}
    targets = {name.removeprefix("fuzz_"): path for name, path in programs.items()
               if name.startswith("fuzz_") and part in name}
    if not targets:
        return None
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    count = Count()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(lambda item: fuzz_one(item[1], item[0], env), sorted(targets.items())):
            count += one
    say(f"fuzz: {count}")
    return count


# ----------------------------------------------------------------------------------------------------------------


def run_suite(name):
    suite, _, part = name.partition("/")
    if suite == "fuzz":
        parts = [fuzz_suite(part)]
    elif suite == "integration":
        parts = [pytest_suite(suite, part, ("asan", "release"))]
    else:
        parts = [cmocka_suite(suite, part)]
    ran = [p for p in parts if p is not None]
    total = Count() if ran else fail(f"{name}: no test ran")
    for one in ran:
        total += one
    return total


def main():
    RESULTS.mkdir(parents=True, exist_ok=True)
    # of all that tests write, so that a test which is killed leaves nothing either
    tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="weir-tests-")
    os.chmod(tempfile.tempdir, 0o755)  # servers that run as others have theirs in it
    total = Count()
    for name in sys.argv[1:]:
        try:
            total += run_suite(name)
        except Exception:
            total += fail(f"{name}: the suite could not be run", traceback.format_exc())
    if total.passed + total.failed == 0:
        total += fail("no test ran")
    if total.failed:
        say(f"what tests left: {tempfile.tempdir}")
    else:
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    say(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
