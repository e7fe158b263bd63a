"""celery over RabbitMQ: a task that succeeds, one that is retried and then fails; worker and caller in one process."""

import time

from celery import Celery
from celery.contrib.testing.worker import start_worker
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from scene import BROKER, recording

app = Celery("shop", broker=f"amqp://guest:guest@{BROKER}//", backend="rpc://")
app.conf.task_default_queue = "shop.tasks"


@app.task(name="shop.charge")
def charge(order):
    return order


@app.task(name="shop.mail", bind=True, max_retries=1)
def mail(self, order):
    try:
        raise RuntimeError("no mail server")
    except RuntimeError as error:
        raise self.retry(exc=error, countdown=0) from error


def main(tracer):
    with start_worker(app, perform_ping_check=False, pool="solo"):
        with tracer.start_as_current_span("POST /order"):
            charged = charge.apply_async((1,), task_id="charge-1")
            mailed = mail.apply_async((1,), task_id="mail-1", countdown=1)
        charged.get(timeout=20)
        for _ in range(200):
            if mailed.state == "FAILURE":
                break
            time.sleep(0.1)


if __name__ == "__main__":
    CeleryInstrumentor().instrument()
    with recording("celery") as tracer:
        main(tracer)
