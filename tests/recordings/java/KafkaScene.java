import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.listener.BatchMessageListener;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;

/** Kafka's own client under the Java agent (a loop over polled records), then Spring's listener of batches. */
public class KafkaScene {
    public static void main(String[] args) throws Exception {
        String broker = System.getenv("RECORDING_BROKER");
        try (var producer = new KafkaProducer<>(
            Map.<String, Object>of("bootstrap.servers", broker), new StringSerializer(), new StringSerializer())) {
            for (String topic : new String[] {"jv.orders", "jv.bulk"}) {
                for (int number = 1; number <= 2; number++) {
                    producer.send(new ProducerRecord<>(topic, 0, "order-" + number, "order")).get();
                }
            }
        }
        try (var consumer = new KafkaConsumer<>(settings(broker, "payment"), new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("jv.orders"));
            int seen = 0;
            for (int polls = 0; seen < 2 && polls < 40; polls++) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                    seen += record.value().isEmpty() ? 0 : 1;
                }
            }
        }
        batch(broker);
    }

    private static Map<String, Object> settings(String broker, String group) {
        return Map.of("bootstrap.servers", broker, "group.id", group, "auto.offset.reset", "earliest");
    }

    private static void batch(String broker) throws Exception {
        CountDownLatch handled = new CountDownLatch(2);
        ContainerProperties properties = new ContainerProperties("jv.bulk");
        properties.setMessageListener(
            (BatchMessageListener<String, String>) records -> records.forEach(record -> handled.countDown()));
        var factory = new DefaultKafkaConsumerFactory<>(
            settings(broker, "ledger"), new StringDeserializer(), new StringDeserializer());
        var container = new KafkaMessageListenerContainer<>(factory, properties);
        container.start();
        if (!handled.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("messages did not arrive");
        }
        container.stop();
    }
}
