from __future__ import annotations

from pathlib import Path

import grpc_tools
from google.protobuf import descriptor
from grpc_tools import protoc

from dataplanes import agent_pb2

ROOT = Path(__file__).parent.parent.parent


def test_the_generated_module_is_what_the_declaration_makes(tmp_path: Path) -> None:
    words = ["protoc", f"-I{ROOT}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    folder = Path(grpc_tools.__file__).parent / "_proto"
    words += [f"-I{folder}", str(ROOT / "dataplanes" / "agent.proto")]
    assert protoc.main(words) == 0
    for name in ("agent_pb2.py", "agent_pb2.pyi"):
        made = (tmp_path / "dataplanes" / name).read_bytes()
        assert made == (ROOT / "dataplanes" / name).read_bytes()


# Trap 5
def test_no_text_is_declared_that_an_agent_could_get_wrong() -> None:
    text = descriptor.FieldDescriptor.TYPE_STRING
    for message in agent_pb2.DESCRIPTOR.message_types_by_name.values():
        assert all(field.type != text for field in message.fields)
