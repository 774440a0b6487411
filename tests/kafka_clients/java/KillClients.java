import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/**
 * A transactional producer, an exactly-once copier and a read_committed reader of Apache Kafka's clients, until standard input ends.
 *
 * <p>Arguments: address. The producer writes each number n to both partitions of "pairs" in one transaction; the copier reads
 * "pairs" and writes what it read to "copies", with its offsets, in one transaction; the reader reads "copies". Lines on standard output:
 * "committed n" and "aborted n" from the producer, "read partition offset value" from the reader, "end" at the end.
 */
public final class KillClients {
  private static final AtomicBoolean STOP = new AtomicBoolean();

  public static void main(String[] arguments) throws Exception {
    String address = arguments[0];
    Thread[] threads = {
      new Thread(() -> produce(address)), new Thread(() -> copy(address)), new Thread(() -> read(address))
    };
    for (Thread thread : threads) thread.start();
    say("running");
    while (System.in.read() >= 0) {}
    STOP.set(true);
    for (Thread thread : threads) thread.join();
    say("end");
  }

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static Map<String, Object> common(String address) {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", address);
    config.put("reconnect.backoff.max.ms", 200);
    config.put("retry.backoff.max.ms", 200);
    return config;
  }

  private static KafkaProducer<byte[], byte[]> producer(String address, String id) {
    Map<String, Object> config = common(address);
    config.put("transactional.id", id);
    config.put("transaction.timeout.ms", 20_000);
    config.put("max.block.ms", 60_000);
    config.put("delivery.timeout.ms", 60_000);
    config.put("request.timeout.ms", 10_000);
    KafkaProducer<byte[], byte[]> made = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    made.initTransactions();
    return made;
  }

  private static KafkaConsumer<byte[], byte[]> consumer(String address, String group) {
    Map<String, Object> config = common(address);
    config.put("group.id", group);
    config.put("isolation.level", "read_committed");
    config.put("enable.auto.commit", false);
    config.put("auto.offset.reset", "earliest");
    return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /** What a failed commit was is not known: then the number is never used again, and counts as neither. */
  private static void produce(String address) {
    KafkaProducer<byte[], byte[]> producer = null;
    long number = 0;
    boolean committing = false;
    while (!STOP.get()) {
      try {
        if (producer == null) producer = producer(address, "pairs-tx");
        number++;
        committing = false;
        byte[] value = Long.toString(number).getBytes();
        producer.beginTransaction();
        for (int partition = 0; partition < 2; partition++) {
          producer.send(new ProducerRecord<>("pairs", partition, null, value));
        }
        if (number % 7 == 0) {
          producer.flush();
          producer.abortTransaction();
          say("aborted " + number);
          continue;
        }
        committing = true;
        producer.commitTransaction();
        say("committed " + number);
      } catch (KafkaException error) {
        producer = recovered(producer, error, committing);
      }
    }
    if (producer != null) producer.close(Duration.ofSeconds(5));
  }

  private static KafkaProducer<byte[], byte[]> recovered(KafkaProducer<byte[], byte[]> producer, KafkaException error, boolean committing) {
    if (producer != null) {
      boolean fatal = committing || error instanceof ProducerFencedException || error instanceof TimeoutException;
      try {
        if (!fatal) {
          producer.abortTransaction();
          return producer;
        }
      } catch (KafkaException again) {
        // made anew below
      }
      producer.close(Duration.ZERO);
    }
    return null;
  }

  private static void copy(String address) {
    KafkaProducer<byte[], byte[]> producer = null;
    KafkaConsumer<byte[], byte[]> consumer = null;
    while (!STOP.get()) {
      try {
        if (producer == null) producer = producer(address, "copies-tx");
        if (consumer == null) {
          consumer = consumer(address, "copier");
          consumer.subscribe(List.of("pairs"));
        }
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> record : records) {
          producer.send(new ProducerRecord<>("copies", record.partition(), null, record.value()));
          offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        producer.commitTransaction();
      } catch (KafkaException error) {
        // both anew: the consumer goes on at the offsets that were committed
        if (producer != null) producer.close(Duration.ZERO);
        if (consumer != null) consumer.close(CloseOptions.timeout(Duration.ZERO));
        producer = null;
        consumer = null;
      }
    }
    if (producer != null) producer.close(Duration.ofSeconds(5));
    if (consumer != null) consumer.close(CloseOptions.timeout(Duration.ofSeconds(5)));
  }

  private static void read(String address) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(address, "reader")) {
      List<TopicPartition> places = List.of(new TopicPartition("copies", 0), new TopicPartition("copies", 1));
      consumer.assign(places);
      consumer.seekToBeginning(places);
      while (!STOP.get()) {
        try {
          for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
            say("read " + record.partition() + " " + record.offset() + " " + new String(record.value()));
          }
        } catch (RetriableException error) {
          // the server is away
        }
      }
    }
  }
}
