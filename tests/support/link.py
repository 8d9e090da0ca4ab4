"""A TCP link in front of a unix socket, which can lose or delay what goes over it.

    link = Link("/tmp/x/.s.PGSQL.5432")
    link.port; link.delay = 0.2; link.cut(); link.mend(); link.stop()
"""

import asyncio
import threading


class Link:
    def __init__(self, target):
        self.delay = 0.0  # of each piece, each way
        self._target = str(target)
        self._whole = threading.Event()
        self._whole.set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._client, "127.0.0.1", 0), self._loop
        ).result(5)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self):
        """Nothing passes and nobody is told: as where packets are dropped."""
        self._whole.clear()

    def mend(self):
        """What was lost stays lost: connections that sent meanwhile are over."""
        self._whole.set()

    def stop(self):
        async def end():
            self._server.close()
            running = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for t in running:
                t.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _client(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._target)
            await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()

    async def _pump(self, reader, writer):
        lost = False
        try:
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                lost |= not self._whole.is_set()
                if not lost:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
