import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.ConnectionFactory;
import java.util.Date;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.core.MessageListener;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.SimpleMessageListenerContainer;

/**
 * RabbitMQ's own client under the Java agent: a quorum queue behind an exchange whose message is returned once, then rejected and
 * dead-lettered; the default exchange; then Spring's listener.
 */
public class RabbitScene {
    public static void main(String[] args) throws Exception {
        String[] broker = System.getenv("RECORDING_BROKER").split(":");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(broker[0]);
        factory.setPort(Integer.parseInt(broker[1]));
        CountDownLatch handled = new CountDownLatch(4);
        try (var connection = factory.newConnection(); var channel = connection.createChannel()) {
            channel.exchangeDeclare("jv.orders", "topic");
            channel.exchangeDeclare("jv.dead", "fanout");
            channel.queueDeclare("jv.payment", true, false, false, Map.of(
                "x-queue-type", "quorum", "x-dead-letter-exchange", "jv.dead"));
            channel.queueBind("jv.payment", "jv.orders", "order.*");
            channel.queueDeclare("jv.payment.dead", false, false, false, null);
            channel.queueBind("jv.payment.dead", "jv.dead", "");
            channel.queueDeclare("jv.emails", false, false, false, null);
            channel.basicConsume("jv.payment", false, (tag, delivery) -> {
                boolean first = !delivery.getEnvelope().isRedeliver();
                channel.basicReject(delivery.getEnvelope().getDeliveryTag(), first);
                handled.countDown();
            }, tag -> { });
            for (String queue : new String[] {"jv.payment.dead", "jv.emails"}) {
                channel.basicConsume(queue, true, (tag, delivery) -> handled.countDown(), tag -> { });
            }
            AMQP.BasicProperties order = new AMQP.BasicProperties.Builder()
                .messageId("order-1").correlationId("conversation-1").timestamp(new Date()).build();
            channel.basicPublish("jv.orders", "order.created", order, "poison".getBytes());
            channel.basicPublish("", "jv.emails", null, "hello".getBytes());
            if (!handled.await(20, TimeUnit.SECONDS)) {
                throw new IllegalStateException("messages did not arrive");
            }
            channel.queueDeclare("jv.spring", false, false, false, null);
        }
        spring(broker);
    }

    private static void spring(String[] broker) throws Exception {
        CountDownLatch handled = new CountDownLatch(1);
        CachingConnectionFactory factory = new CachingConnectionFactory(broker[0], Integer.parseInt(broker[1]));
        SimpleMessageListenerContainer container = new SimpleMessageListenerContainer(factory);
        container.setQueueNames("jv.spring");
        container.setMessageListener((MessageListener) message -> handled.countDown());
        container.afterPropertiesSet();
        container.start();
        new RabbitTemplate(factory).convertAndSend("", "jv.spring", "order");
        if (!handled.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("messages did not arrive");
        }
        container.stop();
        factory.destroy();
    }
}
