"""Other people's tools against the service that `make up` started: clients that generators make of docs/openapi.json, each of which creates,
lists, reads, changes and deletes a schedule and reads a typed 404; the consumers of examples/, receivers of webhooks, and a schema registry.

    run.py [NAME ...]     all, or those; --list names them. Status 1 when one fails, 2 when a toolchain that all need together is missing.

Everything is made in build/interop/, from the packages that are named here, in package.json and in examples/.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/local")]

import webhook_receivers
from servers import free_port, wait_until

BUILD, CLIENTS = ROOT / "build/interop", Path(__file__).resolve().parent / "clients"
OPENAPI, OPENAPI_30 = ROOT / "docs/openapi.json", ROOT / "docs/openapi-3.0.json"
ENVIRONMENT = ROOT / ".run/env"
TOOLCHAINS = {"node": "Node.js", "npm": "npm", "go": "Go", "cargo": "Rust", "java": "a JDK", "mvn": "Maven", "protoc": "protobuf-compiler"}
GENERATOR = "org.openapitools:openapi-generator-cli:7.25.0"
OAPI_CODEGEN = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
OGEN = "github.com/ogen-go/ogen/cmd/ogen@v1.24.0"
PROTOC_GEN_GO = "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12"
STANDARD_WEBHOOKS = "standardwebhooks==1.0.1"
REGISTRY = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all"
PYTHON_TOOLS = ["openapi-python-client==0.29.1", "mypy==2.4.1"]
TSCONFIG = {"compilerOptions": {"strict": True, "noEmit": True, "target": "es2022", "module": "preserve", "skipLibCheck": True,
                                "moduleResolution": "bundler", "lib": ["es2023", "dom", "dom.iterable"], "types": ["node"]}}


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Its output; what went wrong is raised with the end of it."""
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"missing: {TOOLCHAINS.get(str(command[0]), command[0])}")
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=os.environ | (env or {}), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=1200)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done.stdout


def service_env() -> dict[str, str]:
    """Of what `make up` started."""
    lines = ENVIRONMENT.read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values | {"API_KEY": values["MEMBER_API_KEY"]}


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
        return True
    except OSError:
        return False


def fresh(name: str, *copied: Path) -> Path:
    """An empty folder with these files."""
    place = BUILD / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for file in copied:
        shutil.copy(file, place)
    return place


# ---- tools

def node_bin(name: str) -> Path:
    """Of package.json, which is installed when it has changed."""
    wanted, installed = Path(__file__).with_name("package.json"), BUILD / "package.json"
    BUILD.mkdir(parents=True, exist_ok=True)
    if not installed.exists() or installed.read_text() != wanted.read_text():
        (BUILD / "install").mkdir(exist_ok=True)
        shutil.copy(wanted, BUILD / "install")
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", cwd=BUILD / "install")
        shutil.rmtree(BUILD / "node_modules", ignore_errors=True)
        (BUILD / "install/node_modules").rename(BUILD / "node_modules")
        shutil.copy(wanted, installed)
    return BUILD / "node_modules/.bin" / name


def go_bin(package: str) -> Path:
    place = BUILD / "go" / package.rpartition("@")[2]
    name = place / package.rpartition("@")[0].rpartition("/")[2]
    if not name.exists():
        run("go", "install", package, env={"GOBIN": str(place)})
    return name


def venv(name: str, *packages: str) -> Path:
    """The Python of an environment with these packages."""
    python = BUILD / "venv" / name / "bin/python"
    if not python.exists():
        run(sys.executable, "-m", "venv", python.parents[1])
    if packages:
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return python


def maven_file(artifact: str, name: str) -> Path:
    """Of Maven Central: the file that is called so."""
    file = BUILD / "jar" / name
    if not file.exists():
        run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={file.parent}")
    return file


def openapi_generator(language: str, out: Path, properties: str = "") -> None:
    jar = maven_file(GENERATOR, f"openapi-generator-cli-{GENERATOR.rpartition(':')[2]}.jar")
    more = [f"--additional-properties={properties}"] if properties else []
    run("java", "-jar", jar, "generate", "-i", OPENAPI, "-g", language, "-o", out, *more)


# ---- clients of HTTP

def check_typescript(place: Path) -> None:
    """The compiler's word on it, then the program itself."""
    (place / "package.json").write_text('{"type": "module"}')
    (place / "tsconfig.json").write_text(json.dumps(TSCONFIG | {"include": ["main.ts"]}))
    run(node_bin("tsc"), "--project", place)
    run(node_bin("tsx"), place / "main.ts", env=service_env())


def openapi_typescript() -> None:
    place = fresh("openapi-typescript", CLIENTS / "openapi-typescript/main.ts")
    run(node_bin("openapi-typescript"), OPENAPI, "-o", place / "schema.ts")
    check_typescript(place)


def hey_api() -> None:
    place = fresh("hey-api", CLIENTS / "hey-api/main.ts")
    run(node_bin("openapi-ts"), "-i", OPENAPI, "-o", place / "client", cwd=place)
    check_typescript(place)


def openapi_generator_typescript() -> None:
    place = fresh("openapi-generator-typescript", CLIENTS / "openapi-generator-typescript/main.ts")
    openapi_generator("typescript-fetch", place / "client")
    check_typescript(place)


def openapi_python_client() -> None:
    place, python = fresh("openapi-python-client", CLIENTS / "openapi-python-client/main.py"), venv("generator", *PYTHON_TOOLS)
    run(python.with_name("openapi-python-client"), "generate", "--path", OPENAPI, "--meta", "none", "--output-path",
        place / "schedule_service_client", cwd=place)
    run(python, "-m", "mypy", "--strict", "main.py", cwd=place)
    run(python, "main.py", cwd=place, env=service_env())


def openapi_generator_python() -> None:
    place = fresh("openapi-generator-python", CLIENTS / "openapi-generator-python/main.py")
    openapi_generator("python", place / "client")
    run(venv("openapi-generator", str(place / "client")), "main.py", cwd=place, env=service_env())


def run_go(place: Path, env: dict[str, str] | None = None) -> None:
    run("go", "mod", "init", "interop", cwd=place)
    run("go", "mod", "tidy", cwd=place)
    run("go", "vet", ".", cwd=place)
    run("go", "run", ".", cwd=place, env=service_env() | (env or {}))


def oapi_codegen() -> None:
    place = fresh("oapi-codegen", CLIENTS / "oapi-codegen/main.go")
    (place / "api").mkdir()
    run(go_bin(OAPI_CODEGEN), "-generate", "types,client", "-package", "api", "-o", place / "api/api.go", OPENAPI)
    run_go(place)


def ogen() -> None:
    """It knows no text/calendar, and passes over the operations that have it."""
    place = fresh("ogen", CLIENTS / "ogen/main.go", CLIENTS / "ogen/ogen.yml")
    run(go_bin(OGEN), "--config", "ogen.yml", "--target", place / "api", "--package", "api", OPENAPI_30, cwd=place)
    run_go(place)


def openapi_generator_go() -> None:
    place = fresh("openapi-generator-go", CLIENTS / "openapi-generator-go/main.go")
    openapi_generator("go", place / "api", "isGoSubmodule=true,withGoMod=false")
    shutil.rmtree(place / "api/test", ignore_errors=True)
    run_go(place)


def openapi_generator_java() -> None:
    place = fresh("openapi-generator-java")
    openapi_generator("java", place)
    shutil.copy(CLIENTS / "openapi-generator-java/Main.java", place / "src/main/java")
    shutil.rmtree(place / "src/test", ignore_errors=True)
    run("mvn", "-q", "-B", "compile", "org.codehaus.mojo:exec-maven-plugin:3.5.0:java", "-Dexec.mainClass=Main", cwd=place,
        env=service_env())


def openapi_generator_rust() -> None:
    place = fresh("openapi-generator-rust")
    openapi_generator("rust", place / "client")
    (place / "src").mkdir()
    shutil.copy(CLIENTS / "openapi-generator-rust/main.rs", place / "src")
    (place / "Cargo.toml").write_text('[package]\nname = "interop"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
                                      'openapi = { path = "client" }\ntokio = { version = "1", features = ["macros", "rt-multi-thread"] }\n')
    run("cargo", "run", "--quiet", cwd=place, env=service_env())


# ---- the consumers of examples/

def commands_of(language: str) -> list[str]:
    """The lines of examples/README.md under this heading, each a whole command."""
    part = re.split(r"^## ", (ROOT / "examples/README.md").read_text(), flags=re.MULTILINE)
    [section] = [text for text in part if text.startswith(language + "\n")]
    return re.sub(r"\\\n\s+", "", "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))).splitlines()


def create_schedule(env: dict[str, str]) -> str:
    """Its name, which no other has."""
    name = f"Interop {uuid.uuid4()}"
    body = json.dumps({"name": name, "timeZone": "Europe/Rome", "isDefault": False}).encode()
    request = urllib.request.Request(env["HTTP_URL"] + "/v2/schedules", body, {
        "Authorization": f"Bearer {env['API_KEY']}", "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=20).close()
    return name


def consume(language: str) -> None:
    """Runs the README's commands in a copy of the source, until the consumer has told of a schedule that was created."""
    place = fresh(f"example-{language.lower()}")
    shutil.copytree(ROOT / "examples", place / "examples", ignore=shutil.ignore_patterns("node_modules", "target", "schedules"))
    shutil.copytree(ROOT / "proto", place / "proto")
    env = os.environ | service_env()
    name, script = create_schedule(env), "set -e\n" + "\n".join(commands_of(language))
    with subprocess.Popen(["bash", "-c", script], cwd=place, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as process:
        guard = threading.Timer(600, os.killpg, (process.pid, signal.SIGKILL))
        guard.start()
        told = []
        for line in process.stdout or ():
            told.append(line)
            if name in line:
                break
        guard.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if not told or name not in told[-1]:
        raise RuntimeError(f"the consumer did not tell of {name}:\n" + "".join(told)[-4000:])


def example_python() -> None:
    consume("Python")


def example_go() -> None:
    consume("Go")


def example_typescript() -> None:
    consume("TypeScript")


def example_java() -> None:
    consume("Java")


def webhooks() -> None:
    """What is sent is accepted by examples/webhooks and by the libraries that receivers use."""
    env = service_env()
    webhook_receivers.check_all(env["HTTP_URL"], env["API_KEY"], venv("webhooks", STANDARD_WEBHOOKS), node_bin("tsx"))


@contextlib.contextmanager
def registry_server(place: Path) -> Iterator[str]:
    """Apicurio's, with its data in memory; where it speaks Confluent's API."""
    name = f"apicurio-registry-app-{REGISTRY.split(':')[2]}"
    run("tar", "-xzf", maven_file(REGISTRY, f"{name}-all.tar.gz"), "-C", place)
    url = f"http://127.0.0.1:{free_port()}"
    listen = [f"-Dquarkus.http.{part}={value}" for part, value in zip(("host", "port"), url.removeprefix("http://").split(":"))]
    log = place / "registry.log"
    with log.open("w") as out, subprocess.Popen(["java", "-Xmx512m", *listen, "-jar", f"{name}-runner.jar"], cwd=place, stdout=out,
                                                stderr=subprocess.STDOUT) as process:
        try:
            if not wait_until(lambda: process.poll() is not None or answers(f"{url}/health/ready"), 180) or process.poll() is not None:
                raise RuntimeError(f"the registry did not start:\n{log.read_text()[-4000:]}")
            yield f"{url}/apis/ccompat/v7"
        finally:
            process.kill()


def schema_registry() -> None:
    """The messages are registered, once however often; a client that asks the registry for the schema sends a command that is understood. A change
    that breaks readers is refused."""
    place = fresh("schema-registry", CLIENTS / "schema-registry/main.go")
    for folder in ("proto", "deploy"):
        shutil.copytree(ROOT / folder, place / folder)
    script, protos = place / "deploy/register-schemas.py", sorted((place / "proto/schedules/v1").glob("*.proto"))
    packages = [f"--go_opt=Mschedules/v1/{proto.name}=interop/schedules/v1" for proto in protos]
    run("protoc", "-I", place / "proto", "--go_out", place, "--go_opt=module=interop", *packages, *protos,
        env={"PATH": f"{go_bin(PROTOC_GEN_GO).parent}:{os.environ['PATH']}"})
    with registry_server(fresh("schema-registry/server")) as url:
        first, again = run(script, url), run(script, url)
        if first != again or "schedules.v1.WebhookDisabled id=" not in first:
            raise RuntimeError(f"registered differently:\n{first}\n{again}")
        run_go(place, {"SCHEMA_REGISTRY": url, "COMMAND_ID": str(uuid.uuid4())})
        change = urllib.request.Request(f"{url}/config", b'{"compatibility": "BACKWARD"}', {"Content-Type": "application/json"}, method="PUT")
        urllib.request.urlopen(change, timeout=20).close()
        message = place / "proto/schedules/v1/create_schedule.proto"
        message.write_text(message.read_text().replace("int64 user_id = 3;", "string user_id = 3;"))
        refused = subprocess.run([script, url], capture_output=True, text=True, timeout=60)
        if refused.returncode != 1 or "schedules.v1.CreateSchedule: 409" not in refused.stderr:
            raise RuntimeError(f"a change that breaks readers was taken: {refused.stdout}{refused.stderr}")


STEPS: dict[str, Callable[[], None]] = {
    step.__name__.replace("_", "-"): step for step in (
        openapi_typescript, hey_api, openapi_python_client, oapi_codegen, ogen, openapi_generator_typescript, openapi_generator_python,
        openapi_generator_go, openapi_generator_java, openapi_generator_rust, example_python, example_go, example_typescript, example_java,
        webhooks, schema_registry)}


def main(names: list[str]) -> int:
    if names == ["--list"]:
        print("\n".join(STEPS))
        return 0
    unknown = [name for name in names if name not in STEPS]
    missing = [] if names else [f"{what} ({tool})" for tool, what in TOOLCHAINS.items() if shutil.which(tool) is None]
    if unknown or missing:
        print(f"no such step: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}")
        return 2
    if not ENVIRONMENT.exists():
        print("nothing runs: `make up` first")
        return 2
    failed = []
    for name in names or STEPS:
        begin = time.monotonic()
        try:
            STEPS[name]()
            print(f"{name}: passed, {time.monotonic() - begin:.0f} s", flush=True)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed.append(name)
            print(f"{name}: FAILED\n{error}", flush=True)
    print(f"{len(names or STEPS) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
