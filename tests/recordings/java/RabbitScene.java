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

/** RabbitMQ's own client under the Java agent (an exchange, the default exchange, a dead letter), then Spring's listener. */
public class RabbitScene {
    public static void main(String[] args) throws Exception {
        String[] broker = System.getenv("RECORDING_BROKER").split(":");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(broker[0]);
        factory.setPort(Integer.parseInt(broker[1]));
        CountDownLatch handled = new CountDownLatch(3);
        try (var connection = factory.newConnection(); var channel = connection.createChannel()) {
            channel.exchangeDeclare("jv.orders", "topic");
            channel.exchangeDeclare("jv.dead", "fanout");
            channel.queueDeclare("jv.payment", false, false, false, Map.of("x-dead-letter-exchange", "jv.dead"));
            channel.queueBind("jv.payment", "jv.orders", "order.*");
            channel.queueDeclare("jv.payment.dead", false, false, false, null);
            channel.queueBind("jv.payment.dead", "jv.dead", "");
            channel.queueDeclare("jv.emails", false, false, false, null);
            channel.basicConsume("jv.payment", false, (tag, delivery) -> {
                channel.basicReject(delivery.getEnvelope().getDeliveryTag(), false);
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
