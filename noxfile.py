"""The project's tasks, each in an environment of its own: `nox -l` lists them.

    pip install nox uv
    nox                 # all that a change has to pass
    nox -s tests -- -k fgsm

What follows `--` goes to the tool of the session.
"""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"  # uv makes an environment in a second
nox.options.download_python = "never"
nox.options.sessions = ["tests", "lint", "types", "coverage", "docs", "wheel"]

HERE = Path(__file__).parent
LOCK = "requirements-dev.txt"
WORKFLOWS = ".github/workflows/*.yml"
FILES = {  # schemas that come with check-jsonschema, and what has to follow them
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/form-*.yml",
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.readthedocs": ".readthedocs.yaml",
    "vendor.citation-file-format": "CITATION.cff",
}


def install(session: nox.Session, *extra: str) -> None:
    """Install the checkout with its test tools, and what else the session needs."""
    session.install("-e", ".[test]", *extra)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the newest versions of everything."""
    install(session)
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def models(session: nox.Session) -> None:
    """Run the tests of networks in files with the libraries whose files they are."""
    install(session, "--group", "models")
    own = ["tests/io", "tests/test_models.py", "tests/test_sklearn.py"]
    session.run("pytest", *own, *session.posargs, env={"KERAS_BACKEND": "jax"})


@nox.session(default=False)
def scale(session: nox.Session) -> None:
    """Run the tests of large sets with Dask, Zarr and loky installed, and many more kills."""
    session.install("-e", ".[test,dask]", "--group", "scale")
    own = ["tests/rows", "tests/attacks/test_dask.py", "tests/attacks/test_executor.py"]
    own += ["tests/attacks/test_checkpoint.py", "tests/test_kept.py", "tests/cli/test_attack.py"]
    session.run("pytest", *own, *session.posargs, env={"FASTNN_KILLS": "100"})


@nox.session(python="3.11", venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest versions that pyproject.toml admits."""
    install(session, "--resolution", "lowest-direct")
    # Old releases use what their newest dependencies have deprecated since.
    session.run("pytest", "-W", "ignore::DeprecationWarning", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, who imports whom, and the files for the host against their schemas."""
    install(session, "--group", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo", "--no-cache")
    for schema, pattern in FILES.items():
        files = sorted(str(path.relative_to(HERE)) for path in HERE.glob(pattern))
        session.run("check-jsonschema", "--builtin-schema", schema, *files)
    session.run("zizmor", "--offline", "--quiet", "--persona", "pedantic", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types as they are on Linux, macOS and Windows."""
    install(session)
    for platform in ("linux", "darwin", "win32"):
        session.run("mypy", "--platform", platform, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the kernels as plain Python and require every line and branch of them."""
    install(session)
    data = {"COVERAGE_FILE": str(Path(session.create_tmp()) / "coverage")}
    plain = {"NUMBA_DISABLE_JIT": "1", "PYTEST_ADDOPTS": "", **data}  # in one process
    tests = ["tests/kernels", "--ignore=tests/kernels/test_cache.py"]  # it has to compile
    session.run("coverage", "run", "-m", "pytest", "-q", *tests, env=plain)
    included = ["--include=*/_kernels/*", "--omit=*/cache.py"]
    session.run("coverage", "report", *included, "--fail-under=100", env=data)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, where a warning is an error; the tests run its examples."""
    install(session, "--group", "docs")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel twice, into a folder if one is given; run the main job with it alone."""
    temporary = Path(session.create_tmp()).resolve()
    shutil.rmtree(temporary)
    home = temporary / "home"
    home.mkdir(parents=True)
    folder = Path(*session.posargs or [temporary / "dist"]).resolve()
    for out in (folder, temporary / "again"):
        session.run("uv", "build", "--quiet", "--out-dir", str(out), external=True)
    session.run("python", ".ci/check_same.py", str(folder), str(temporary / "again"))
    (built,) = map(str, folder.glob("*.whl"))
    session.run("python", ".ci/check_wheel.py", built)
    session.install(built)
    environment = dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA"), str(home))
    unset = dict.fromkeys(("PYTHONPATH", "XDG_CACHE_HOME", "FASTNN_CACHE", "FASTNN_DATA"))
    with session.chdir(home):  # the clone's own package is out of sight
        for run in ("first", "second"):
            session.run("fastnn", "attack", "--json", f"{run}.json", env={**environment, **unset})
        session.run("python", str(HERE / ".ci" / "check_attack.py"), "first.json", "second.json")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Renew requirements-dev.txt: the newest versions of all that development installs."""
    groups = ("--extra", "test", "--group", "dev", "--group", "docs")
    options = ("--universal", "--generate-hashes", "--no-emit-index-url", "--upgrade", "--quiet")
    python = ("--python-version", "3.11", "--custom-compile-command", "nox -s lock")
    place = ("--output-file", LOCK, "pyproject.toml")
    session.run("uv", "pip", "compile", *options, *python, *groups, *place, external=True)


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Look for known vulnerabilities in the versions of requirements-dev.txt."""
    session.install("pip-audit>=2.9")
    session.run("python", ".ci/audit.py")


@nox.session(default=False)
def sbom(session: nox.Session) -> None:
    """Write a CycloneDX list of what an installation consists of, fastnn.cdx.json by default."""
    session.install("cyclonedx-bom>=7")
    place = Path(session.create_tmp()).resolve() / "installed"
    session.run("uv", "venv", "--quiet", "--clear", str(place), external=True)
    session.run("uv", "pip", "install", "--quiet", "--python", str(place), ".", external=True)
    target = (session.posargs or ["fastnn.cdx.json"])[0]
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", target)
    session.run("cyclonedx-py", "environment", str(place), *options)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Look at pages and click in a headless Chromium, which has to be installed."""
    install(session, "--group", "browser")
    session.run("pytest", "tests/html", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run the benchmarks, without peers; every answer is checked first."""
    install(session)
    session.run("pytest", "benchmarks", *session.posargs)
