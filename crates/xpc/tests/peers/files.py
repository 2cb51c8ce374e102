"""Files both ways with pymobiledevice3's RemoteXPC client; run by tests/peers_pymobiledevice3.rs, not part of the product.

Arguments: host and port of a server. Asks it for a file, then sends that file back, and prints what it saw as one JSON line.
"""

import asyncio
import json
import sys

from pymobiledevice3.remote.remotexpc import RemoteXPCConnection
from pymobiledevice3.remote.xpc_message import FileTransferType

TRANSFER = 42


async def main(host, port):
    async with RemoteXPCConnection((host, port)) as connection:
        announced = await connection.send_receive_request({"Wish": "get"})
        received = await connection.receive_file(announced["File"].transfer_size)
        announcement = FileTransferType(transfer_size=len(received), transfer_id=TRANSFER)
        await connection.send_request({"Wish": "put", "File": announcement}, wanting_reply=True)
        await connection.send_file_transfer(TRANSFER, received)
        answer = await connection.receive_response()
        print(json.dumps({"size": len(received), "answer": answer}))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
