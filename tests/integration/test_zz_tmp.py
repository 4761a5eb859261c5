import time
from tests.integration.test_takeover import *  # noqa
from tests.conftest import *  # noqa
def test_late(tmp_path, kafka, servers, topic_prefix, key_prefix):
    server = servers.redis()
    server.kill()
    with Deployment(tmp_path, kafka, server.address, topic_prefix, key_prefix, session_timeout=3.0) as deployment:
        deployment.create_topics()
        worker = start(deployment)
        time.sleep(50)
        print(worker.tail()); print(worker.get("/healthz"))
        server.start()
        deployment.until_applied(deployment.produce(likes(0, 100)), 30)
        assert worker.stop() == 0, worker.tail()
