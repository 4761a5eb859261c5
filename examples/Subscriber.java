// A subscriber that appends the id of every transition to a file exactly once, to be copied. It needs Kafka's own client alone, and
// Java 17.
//
//     java -cp 'LIBS/*' examples/Subscriber.java BOOTSTRAP TOPIC FILE [SECONDS]
//
// LIBS is a folder with kafka-clients, slf4j-api and jackson-databind, such as Kafka's own libs. With SECONDS it ends when nothing has
// come for so long.
//
// rflow may repeat records after a crash, in order. The rule that drops repeats: within a partition, take a record only if its
// (version, index) is greater than that of the last one taken. The position is stored with the results: here both are lines of one file,
// and a batch counts when its last line, the one with the positions, is there whole. A run that is killed leaves a batch without that
// line, or a part of it; the next run cuts it off and goes on from the positions before it.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Subscriber {
    /** What was taken last from a partition, and where to read on. */
    record Position(long version, long index, long next) {
        boolean isBehind(long otherVersion, long otherIndex) {
            return otherVersion > version || (otherVersion == version && otherIndex > index);
        }
    }

    private static final String MARK = "positions ";
    private static final ObjectMapper JSON = new ObjectMapper();

    private final RandomAccessFile file;
    private final Map<Integer, Position> positions = new HashMap<>();

    Subscriber(Path path) throws IOException {
        file = new RandomAccessFile(path.toFile(), "rw");
        file.setLength(readPositions(Files.readAllBytes(path)));
        file.seek(file.length());
    }

    /** Takes the positions of the last whole batch; the length of the file up to its end. */
    private int readPositions(byte[] content) {
        int whole = 0;
        int begin = 0;
        for (int at = 0; at < content.length; at++) {
            if (content[at] != '\n') {
                continue;
            }
            String line = new String(content, begin, at - begin, StandardCharsets.UTF_8);
            begin = at + 1;
            if (line.startsWith(MARK)) {
                whole = begin;
                for (String one : line.substring(MARK.length()).split(" ")) {
                    String[] parts = one.split(":");
                    positions.put(Integer.parseInt(parts[0]),
                        new Position(Long.parseLong(parts[1]), Long.parseLong(parts[2]), Long.parseLong(parts[3])));
                }
            }
        }
        return whole;
    }

    /** Stores the new ones among the records with the positions they lead to, all or nothing. */
    private void store(ConsumerRecords<byte[], byte[]> records) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (ConsumerRecord<byte[], byte[]> record : records) {
            JsonNode transition = JSON.readTree(record.value());
            long version = transition.get("version").asLong();
            long index = transition.get("index").asLong();
            Position seen = positions.getOrDefault(record.partition(), new Position(-1, -1, 0));
            boolean isNew = seen.isBehind(version, index);
            if (isNew) {
                lines.append(transition.get("id").asText()).append('\n');
            }
            positions.put(record.partition(),
                new Position(isNew ? version : seen.version(), isNew ? index : seen.index(), record.offset() + 1));
        }
        lines.append(MARK.strip());
        positions.forEach((partition, at) -> lines.append(' ').append(partition).append(':').append(at.version()).append(':')
            .append(at.index()).append(':').append(at.next()));
        file.write(lines.append('\n').toString().getBytes(StandardCharsets.UTF_8));
        file.getFD().sync();
    }

    private void follow(KafkaConsumer<byte[], byte[]> consumer, String topic, double patience) throws IOException {
        List<TopicPartition> partitions =
            consumer.partitionsFor(topic).stream().map(one -> new TopicPartition(topic, one.partition())).toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        positions.forEach((partition, at) -> consumer.seek(new TopicPartition(topic, partition), at.next()));
        long last = System.nanoTime();
        while (patience <= 0 || System.nanoTime() - last < patience * 1e9) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
            if (!records.isEmpty()) {
                store(records);
                last = System.nanoTime();
            }
        }
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length < 3) {
            System.err.println("expected BOOTSTRAP TOPIC FILE [SECONDS]");
            System.exit(2);
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "none"); // a position that the log no longer reaches back to is an error, not a jump
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        double patience = arguments.length > 3 ? Double.parseDouble(arguments[3]) : 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            new Subscriber(Path.of(arguments[2])).follow(consumer, arguments[1], patience);
        }
    }
}
