from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Metadata(_message.Message):
    __slots__ = ("message_id",)
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: bytes
    def __init__(self, message_id: _Optional[bytes] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("meta", "agent_connect_request", "agent_connect_response", "dataplane_status")
    META_FIELD_NUMBER: _ClassVar[int]
    AGENT_CONNECT_REQUEST_FIELD_NUMBER: _ClassVar[int]
    AGENT_CONNECT_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    DATAPLANE_STATUS_FIELD_NUMBER: _ClassVar[int]
    meta: Metadata
    agent_connect_request: AgentConnectRequest
    agent_connect_response: AgentConnectResponse
    dataplane_status: DataplaneStatus
    def __init__(self, meta: _Optional[_Union[Metadata, _Mapping]] = ..., agent_connect_request: _Optional[_Union[AgentConnectRequest, _Mapping]] = ..., agent_connect_response: _Optional[_Union[AgentConnectResponse, _Mapping]] = ..., dataplane_status: _Optional[_Union[DataplaneStatus, _Mapping]] = ...) -> None: ...

class AgentConnectRequest(_message.Message):
    __slots__ = ("meta", "details", "host")
    META_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    meta: AgentMeta
    details: _containers.RepeatedCompositeFieldContainer[NginxDetails]
    host: HostInfo
    def __init__(self, meta: _Optional[_Union[AgentMeta, _Mapping]] = ..., details: _Optional[_Iterable[_Union[NginxDetails, _Mapping]]] = ..., host: _Optional[_Union[HostInfo, _Mapping]] = ...) -> None: ...

class AgentMeta(_message.Message):
    __slots__ = ("version", "display_name")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    version: bytes
    display_name: bytes
    def __init__(self, version: _Optional[bytes] = ..., display_name: _Optional[bytes] = ...) -> None: ...

class NginxDetails(_message.Message):
    __slots__ = ("nginx_id", "version", "plus")
    NGINX_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLUS_FIELD_NUMBER: _ClassVar[int]
    nginx_id: bytes
    version: bytes
    plus: NginxPlus
    def __init__(self, nginx_id: _Optional[bytes] = ..., version: _Optional[bytes] = ..., plus: _Optional[_Union[NginxPlus, _Mapping]] = ...) -> None: ...

class NginxPlus(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class HostInfo(_message.Message):
    __slots__ = ("hostname", "display_name", "os_type", "release")
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    OS_TYPE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    hostname: bytes
    display_name: bytes
    os_type: bytes
    release: Release
    def __init__(self, hostname: _Optional[bytes] = ..., display_name: _Optional[bytes] = ..., os_type: _Optional[bytes] = ..., release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("name", "version_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    version_id: bytes
    def __init__(self, name: _Optional[bytes] = ..., version_id: _Optional[bytes] = ...) -> None: ...

class DataplaneStatus(_message.Message):
    __slots__ = ("details", "host", "healths")
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    HEALTHS_FIELD_NUMBER: _ClassVar[int]
    details: _containers.RepeatedCompositeFieldContainer[NginxDetails]
    host: HostInfo
    healths: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, details: _Optional[_Iterable[_Union[NginxDetails, _Mapping]]] = ..., host: _Optional[_Union[HostInfo, _Mapping]] = ..., healths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class AgentConnectResponse(_message.Message):
    __slots__ = ("agent_config", "status")
    AGENT_CONFIG_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    agent_config: AgentConfig
    status: AgentConnectStatus
    def __init__(self, agent_config: _Optional[_Union[AgentConfig, _Mapping]] = ..., status: _Optional[_Union[AgentConnectStatus, _Mapping]] = ...) -> None: ...

class AgentConfig(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AgentConnectStatus(_message.Message):
    __slots__ = ("status_code",)
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[AgentConnectStatus.Code]
        OK: _ClassVar[AgentConnectStatus.Code]
    UNKNOWN: AgentConnectStatus.Code
    OK: AgentConnectStatus.Code
    STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
    status_code: AgentConnectStatus.Code
    def __init__(self, status_code: _Optional[_Union[AgentConnectStatus.Code, str]] = ...) -> None: ...

class UploadStatus(_message.Message):
    __slots__ = ("status",)
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[UploadStatus.Code]
        OK: _ClassVar[UploadStatus.Code]
    UNKNOWN: UploadStatus.Code
    OK: UploadStatus.Code
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: UploadStatus.Code
    def __init__(self, status: _Optional[_Union[UploadStatus.Code, str]] = ...) -> None: ...
