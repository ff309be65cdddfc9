"""Keeps the messages compatible: every field, enum value, message and type that proto/schedules/v1.lock names must still be
there as it was. `--write` writes the lock again after something was added (and refuses to when something was changed)."""

import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

LOCK = pathlib.Path("proto/schedules/v1.lock")
TYPES = descriptor_pb2.FieldDescriptorProto.Type
LABELS = descriptor_pb2.FieldDescriptorProto.Label


def field_line(message: str, field: descriptor_pb2.FieldDescriptorProto) -> str:
    kind = field.type_name or TYPES.Name(field.type)
    return f"{message} {field.number} {field.name} {LABELS.Name(field.label)} {kind}"


def describe() -> list[str]:
    protos = sorted(str(path) for path in pathlib.Path("proto/schedules/v1").glob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", "-I", "proto", f"--descriptor_set_out={out.name}", *protos], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes()).file
    lines = []
    for file in files:
        for message in file.message_type:
            lines += [field_line(f"{file.package}.{message.name}", field) for field in message.field]
        for enum in file.enum_type:
            lines += [f"{file.package}.{enum.name} {value.number} {value.name}" for value in enum.value]
    return sorted(lines)


def main() -> int:
    now = describe()
    locked = LOCK.read_text().splitlines() if LOCK.exists() else []
    gone = sorted(set(locked) - set(now))
    new = sorted(set(now) - set(locked))
    if gone:
        print("these were there and have changed or gone; consumers rely on them:\n" + "\n".join(gone))
        return 1
    if "--write" in sys.argv:
        LOCK.write_text("\n".join(now) + "\n")
    elif new:
        print("these are new; run `make proto-lock` to keep them:\n" + "\n".join(new))
        return 1
    print(f"{len(now)} fields and values are as they were")
    return 0


if __name__ == "__main__":
    sys.exit(main())
