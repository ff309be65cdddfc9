import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import schedules.v1.ScheduleCreatedOuterClass.ScheduleCreated;

/** Writes a line for each event of a schedule that was created; see ../README.md. */
public class Consumer {
    private static String header(ConsumerRecord<String, byte[]> record, String name) {
        return new String(record.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", System.getenv("KAFKA_BROKERS"), "group.id", "example-java",
                "isolation.level", "read_committed", "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of("schedules.events.v1"));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    if (!header(record, "ce_type").equals("schedules.v1.ScheduleCreated")) continue;
                    var schedule = ScheduleCreated.parseFrom(record.value()).getSchedule();
                    System.out.println(header(record, "ce_id") + " " + schedule.getOwnerId() + " " + schedule.getName() + " "
                            + schedule.getTimeZone());
                }
            }
        }
    }
}
