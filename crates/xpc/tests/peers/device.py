"""A device's end of RSD out of pymobiledevice3's own classes: its XPC codec, its flow control, hyperframe's frames.

Run by tests/peers_pymobiledevice3.rs with a Python that has pymobiledevice3; not part of the product.
Arguments: a captured Handshake as JSON. Prints `{"port": N}` when it listens, then one JSON line for each connection: what the
host said about itself. Afterwards every message that wants a reply comes back with the object that it carried.
"""

import asyncio
import json
import sys
import uuid

from bytestruct import TruncatedDataError
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame
from pymobiledevice3.remote import remotexpc
from pymobiledevice3.remote.remotexpc import REPLY_CHANNEL, ROOT_CHANNEL, RemoteXPCConnection
from pymobiledevice3.remote.xpc_message import XpcFlags, XpcUInt64Type, XpcWrapper, decode_xpc_object

TERM = 0x200


class Device(RemoteXPCConnection):
    """Its connection from the accepting side: even message ids, answers to an opening instead of one."""

    def __init__(self, reader, writer):
        super().__init__(writer.get_extra_info("peername")[:2])
        self._reader, self._writer = reader, writer
        self.next_message_id[ROOT_CHANNEL] = 2

    async def answer_opening(self):
        """Each step is answered when it comes, as an iPhone does (coredevice.md, frame plan)."""
        preface = await self._recvall(len(remotexpc.HTTP2_MAGIC))
        if preface != remotexpc.HTTP2_MAGIC:
            raise ValueError(f"no HTTP/2 preface: {preface!r}")
        missing = {TERM, XpcFlags.INIT_HANDSHAKE}
        while missing:
            frame = await self._receive_frame()
            self._apply_flow_control_frame(frame)
            if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                await self.answer_settings()
            elif isinstance(frame, HeadersFrame):
                await self._send_frame(HeadersFrame(stream_id=frame.stream_id, flags=["END_HEADERS"]))
            elif isinstance(frame, DataFrame):
                wrapper = XpcWrapper.parse(frame.data)
                await self._send_frame(DataFrame(stream_id=frame.stream_id, data=wrapper.build()))
                missing -= {bit for bit in missing if wrapper.flags & bit}

    async def answer_settings(self):
        window = remotexpc.DEFAULT_SETTINGS_INITIAL_WINDOW_SIZE
        streams = remotexpc.DEFAULT_SETTINGS_MAX_CONCURRENT_STREAMS
        settings = {SettingsFrame.MAX_CONCURRENT_STREAMS: streams, SettingsFrame.INITIAL_WINDOW_SIZE: window}
        await self._send_frame(SettingsFrame(settings=settings))
        await self._send_frame(WindowUpdateFrame(stream_id=0, window_increment=remotexpc.DEFAULT_WIN_SIZE_INCR))
        await self._send_frame(SettingsFrame(flags=["ACK"]))

    async def next_wrapper(self):
        """The next message of the root stream with a payload, its flags and its id."""
        gathered = b""
        while True:
            frame = await self._receive_next_data_frame()
            if frame.stream_id == REPLY_CHANNEL:
                raise ValueError("a message on the reply stream")
            gathered += frame.data
            try:
                wrapper = XpcWrapper.parse(gathered)
            except TruncatedDataError:
                continue
            gathered = b""
            if wrapper.payload is not None:
                return wrapper

    async def reply(self, wrapper):
        flags = XpcFlags.ALWAYS_SET | XpcFlags.DATA_PRESENT | XpcFlags.REPLY
        message = XpcWrapper(flags=flags, message_id=wrapper.message_id, payload=wrapper.payload).build()
        offset = 0
        while offset < len(message):
            offset += await self._send_flow_controlled(ROOT_CHANNEL, message, offset, len(message))


def as_xpc(value):
    """Every integer of a captured Handshake is a uint64."""
    if isinstance(value, dict):
        return {key: as_xpc(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [as_xpc(entry) for entry in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return XpcUInt64Type(value)
    return value


def say(value):
    print(json.dumps(value, default=str), flush=True)


async def serve(handshake, reader, writer):
    device = Device(reader, writer)
    try:
        await device.answer_opening()
        await device.send_request(handshake)
        host = await device.next_wrapper()
        say({"flags": int(host.flags), "id": host.message_id, "host": decode_xpc_object(host.payload)})
        while True:
            wrapper = await device.next_wrapper()
            if wrapper.flags & XpcFlags.WANTING_REPLY:
                await device.reply(wrapper)
    except Exception as error:
        say({"ended": repr(error)})
    finally:
        await device.close()


async def main(path):
    with open(path, encoding="utf-8") as file:
        handshake = as_xpc(json.load(file))
    handshake["UUID"] = uuid.UUID(sys.argv[2])
    server = await asyncio.start_server(lambda r, w: serve(handshake, r, w), "::1", 0)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
