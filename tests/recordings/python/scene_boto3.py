"""boto3 against a stand-in of AWS in this process: SQS by the boto3sqs instrumentation, SNS by botocore's."""

import os

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-west-1")

import boto3  # noqa: E402
from moto import mock_aws  # noqa: E402
from opentelemetry.instrumentation.boto3sqs import Boto3SQSInstrumentor  # noqa: E402
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor  # noqa: E402

from scene import recording  # noqa: E402


def main(tracer):
    sqs, sns = boto3.client("sqs"), boto3.client("sns")
    queue = sqs.create_queue(QueueName="payments")["QueueUrl"]
    topic = sns.create_topic(Name="orders")["TopicArn"]
    with tracer.start_as_current_span("POST /order"):
        sqs.send_message(QueueUrl=queue, MessageBody="order 1")
        entries = [{"Id": str(number), "MessageBody": f"order {number}"} for number in (2, 3)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        sns.publish(TopicArn=topic, Message="order 4")
    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"])
    for message in answer["Messages"]:
        with tracer.start_as_current_span("handle"):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    with mock_aws():
        Boto3SQSInstrumentor().instrument()
        BotocoreInstrumentor().instrument()
        with recording("boto3") as tracer:
            main(tracer)
