"""botocore alone, without boto3sqs: SQS and SNS as plain API calls, against a stand-in of AWS in this process."""

import os

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-west-1")

from moto import mock_aws  # noqa: E402
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor  # noqa: E402

import scene_boto3  # noqa: E402
from scene import recording  # noqa: E402

if __name__ == "__main__":
    with mock_aws():
        BotocoreInstrumentor().instrument()
        with recording("botocore") as tracer:
            scene_boto3.main(tracer)
